// Accepts a few sessions at a time. Accepting one costs several requests to the API server and the parsing of its
// agent's whole state. When a whole fleet connects at once, it must not take the processor or the connection to the API
// server from everything else. Agents wait in line with their connections open, first come, first served. Each node has
// one place: when its agent gives up and connects again, the new connection takes over the place.
import type { Clock } from '../../runtime/clock.ts';

export interface AdmissionBounds {
  /** Most sessions that are accepted at the same time. */
  readonly parallel: number;
  /** A session that takes longer continues, and the next one begins. */
  readonly milliseconds: number;
}

export const defaultAdmissionBounds: AdmissionBounds = { parallel: 32, milliseconds: 5_000 };

export interface Turn {
  end(): void;
}

type Waiting = (turn: Turn | undefined) => void;

export class AdmissionLine {
  readonly #clock: Clock;
  readonly #bounds: AdmissionBounds;
  /** By node, in the order of their turns. */
  readonly #waiting = new Map<string, Waiting>();
  /** Nodes whose turn it is. */
  readonly #admitting = new Set<string>();

  constructor(clock: Clock, bounds: AdmissionBounds = defaultAdmissionBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /**
   * Resolves when the node's turn has come. Resolves with undefined when a newer connection of the node took over its
   * place, or when this connection has `left`.
   */
  enter(nodeName: string, left: Promise<unknown>): Promise<Turn | undefined> {
    return new Promise((resolve) => {
      const former = this.#waiting.get(nodeName);
      this.#waiting.set(nodeName, resolve);
      former?.(undefined);
      void left.then(() => this.#leave(nodeName, resolve));
      this.#admit();
    });
  }

  #leave(nodeName: string, waiting: Waiting): void {
    if (this.#waiting.get(nodeName) !== waiting) return;
    this.#waiting.delete(nodeName);
    waiting(undefined);
  }

  #admit(): void {
    for (const [nodeName, begin] of this.#waiting) {
      if (this.#admitting.size >= this.#bounds.parallel) return;
      if (this.#admitting.has(nodeName)) continue;
      this.#waiting.delete(nodeName);
      begin(this.#begin(nodeName));
    }
  }

  #begin(nodeName: string): Turn {
    this.#admitting.add(nodeName);
    let over = false;
    const end = () => {
      if (over) return;
      over = true;
      timer.cancel();
      this.#admitting.delete(nodeName);
      this.#admit();
    };
    const timer = this.#clock.after(this.#bounds.milliseconds, end);
    return { end };
  }
}
