// The claims of a VM on its host: how long it waits for a reservation, and whether it has its console pipe
// (`reserving.ts`).
export class HostClaim {
  /**
   * Another VM has reserved something that this one needs. It starts at this time at the earliest (ms since the epoch).
   */
  heldUpUntil = 0;
  #console = new AbortController();

  /** Aborts when the VM gives up its reservation of the console pipe. */
  get consoleSignal(): AbortSignal {
    return this.#console.signal;
  }

  endConsole(): void {
    this.#console.abort();
    this.#console = new AbortController();
  }
}
