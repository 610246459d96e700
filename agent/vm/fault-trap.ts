// Catches internal errors in callbacks of one VM that run outside of its steps, where nobody awaits them. Such an error
// concerns this VM only. The next step throws it.
import type { Wakeup } from '../bounds/wakeup.ts';

export class FaultTrap {
  readonly #wakeup: Wakeup;
  #fault: { readonly error: unknown } | undefined;

  constructor(wakeup: Wakeup) {
    this.#wakeup = wakeup;
  }

  /** Keeps the first error only. */
  note(error: unknown): void {
    this.#fault ??= { error };
    this.#wakeup.notify();
  }

  guarded<Parameters extends readonly unknown[]>(
    act: (...parameters: Parameters) => void,
  ): (...parameters: Parameters) => void {
    return (...parameters) => {
      try {
        act(...parameters);
      } catch (error) {
        this.note(error);
      }
    };
  }

  /** Throws the error that was noted since the last call. */
  throwNoted(): void {
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault !== undefined) throw fault.error;
  }
}
