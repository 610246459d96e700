// Errors of ours in what is called from outside of a VM's steps, where nobody awaits it: each is this VM's alone, and ends
// its life with the step that is under way.
import type { Wakeup } from '../bounds/wakeup.ts';

export class FaultTrap {
  readonly #wakeup: Wakeup;
  #fault: { readonly error: unknown } | undefined;

  constructor(wakeup: Wakeup) {
    this.#wakeup = wakeup;
  }

  /** The first one counts. */
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

  /** Throws what was noted since the last time. */
  throwNoted(): void {
    const fault = this.#fault;
    this.#fault = undefined;
    if (fault !== undefined) throw fault.error;
  }
}
