// Whether a running VM is to be stopped. If so, nothing waits any longer for its guest, which may never answer.
import { GuestUnansweredError } from '../../guest/bridge/errors.ts';

export class Leaving {
  #wanted = new AbortController();

  begin(): void {
    this.#wanted.abort(new GuestUnansweredError('the VM is to be stopped before its guest has answered'));
  }

  /** The VM is to keep running after all. */
  end(): void {
    if (this.isWanted) this.#wanted = new AbortController();
  }

  get isWanted(): boolean {
    return this.#wanted.signal.aborted;
  }

  /** The guest's answer. Rejects with `GuestUnansweredError` as soon as the VM is to be stopped. */
  async unless<T>(asked: Promise<T>): Promise<T> {
    const { signal } = this.#wanted;
    asked.catch(() => undefined);
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    return await Promise.race([asked, promise]).finally(() => signal.removeEventListener('abort', onAbort));
  }
}
