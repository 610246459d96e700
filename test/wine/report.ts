// What a run says while it goes, and how it went.

export class Report {
  readonly #began = performance.now();
  #passed = 0;
  #failed = 0;

  say(text: string): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    process.stdout.write(`${seconds.padStart(6)} s  ${text}\n`);
  }

  passed(text: string, count: number): void {
    this.#passed += count;
    this.say(`  ✓ ${text}`);
  }

  /** Its failure is reported, and the next step goes on. */
  async step(what: string, run: () => Promise<void>): Promise<void> {
    this.say(what);
    try {
      await run();
    } catch (error) {
      this.#failed += 1;
      this.say(`  ✗ ${error instanceof Error ? error.stack : String(error)}`);
      // Of a program that failed.
      if (error instanceof Error && 'stdout' in error) process.stdout.write(`${error.stdout}\n`);
    }
  }

  /** Its failure is the step's. */
  async test(what: string, run: () => Promise<void>): Promise<void> {
    await run();
    this.passed(what, 1);
  }

  /** The exit code. */
  end(): number {
    process.stdout.write(`${this.#passed} passed, ${this.#failed} failed\n`);
    return this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}
