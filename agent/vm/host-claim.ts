// What a VM waits for of its host, and for how long the pipe of its console is its own (`reserving.ts`).
export class HostClaim {
  /** Another VM has what this one needs: it is not started before this time (ms since the epoch). */
  heldUpUntil = 0;
  #console = new AbortController();

  /** Aborts when the pipe of the console is this VM's no more. */
  get consoleSignal(): AbortSignal {
    return this.#console.signal;
  }

  endConsole(): void {
    this.#console.abort();
    this.#console = new AbortController();
  }
}
