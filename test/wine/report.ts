// Prints the progress and the result of a run.

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

  /** Runs a step. If it fails, the failure is reported and the run continues. */
  async step(what: string, run: () => Promise<void>): Promise<void> {
    this.say(what);
    try {
      await run();
    } catch (error) {
      this.#failed += 1;
      this.say(`  ✗ ${error instanceof Error ? error.stack : String(error)}`);
      // The output of a failed program.
      if (error instanceof Error && 'stdout' in error) process.stdout.write(`${error.stdout}\n`);
    }
  }

  /** Runs a test of a step. If it fails, the step fails. */
  async test(what: string, run: () => Promise<void>): Promise<void> {
    await run();
    this.passed(what, 1);
  }

  /** Prints the summary, and returns the exit code. */
  end(): number {
    process.stdout.write(`${this.#passed} passed, ${this.#failed} failed\n`);
    return this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}
