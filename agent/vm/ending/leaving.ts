// Whether a VM that runs is to be stopped: its guest, which may never answer, is not waited for any longer then.
import { GuestUnansweredError } from '../../guest/bridge/errors.ts';

export class Leaving {
  #wanted = new AbortController();

  begin(): void {
    this.#wanted.abort(new GuestUnansweredError('the VM is to be stopped before its guest has answered'));
  }

  /** It is to run on after all. */
  end(): void {
    if (this.isWanted) this.#wanted = new AbortController();
  }

  get isWanted(): boolean {
    return this.#wanted.signal.aborted;
  }

  /** What the guest was asked for, or a rejection (`GuestUnansweredError`) as soon as the VM is to be stopped. */
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
