// The calls of the compute service that fail in a life: each once, the next of its function.
import type { Setup } from './life.ts';

export class Faults {
  readonly #planned: Setup[] = [];

  plan(setup: Setup): void {
    this.#planned.push(setup);
  }

  /** What is planned for a call with this text, if anything is. */
  take(call: string, text: string): Setup | undefined {
    const index = this.#planned.findIndex(
      ({ fails, only }) => fails === call && (only === undefined || text.includes(only)),
    );
    return index < 0 ? undefined : this.#planned.splice(index, 1)[0];
  }
}
