// A latch on which one waiter sleeps until something changes. A notification before the wait is not lost.
export class Wakeup {
  #notified = false;
  #resolve: (() => void) | undefined;

  notify(): void {
    this.#notified = true;
    this.#resolve?.();
  }

  /** Resolves at the first notification since the last wait. */
  async wait(): Promise<void> {
    if (!this.#notified) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#resolve = undefined;
    this.#notified = false;
  }
}
