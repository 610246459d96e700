// Kills the operator and agents of a whole system at moments that a seed chooses: so many watch events after the last kill.
import type { LocalSystem } from '../../../simulator/playground/system.ts';
import { type Chance, chanceOf } from '../../simulation/chance.ts';

export interface KillsOptions {
  readonly system: LocalSystem;
  readonly seed: number;
  /** The most events between two kills. */
  readonly mostEvents: number;
  /** Called before the agent of a node is killed. */
  readonly onAgent: (nodeName: string) => void;
  readonly tell: (line: string) => void;
}

const shareOfOperator = 0.3;

export class Kills {
  readonly #options: KillsOptions;
  readonly #chance: Chance;
  #count = 0;
  #left = 0;
  /** How many events there are before the next kill; undefined if there is none to come. */
  #eventsBefore: number | undefined;
  #killing: Promise<void> = Promise.resolve();

  constructor(options: KillsOptions) {
    this.#options = options;
    this.#chance = chanceOf(options.seed, 'kills');
  }

  get count(): number {
    return this.#count;
  }

  /** At most so many kills from now on. */
  allow(kills: number): void {
    this.#left = kills;
    this.#plan();
  }

  /** No more kills. Resolves when the last victim is gone. */
  async end(): Promise<void> {
    this.#left = 0;
    this.#eventsBefore = undefined;
    await this.#killing;
  }

  /** Something happened in the system. */
  event(): void {
    if (this.#eventsBefore === undefined) return;
    this.#eventsBefore -= 1;
    if (this.#eventsBefore > 0) return;
    this.#eventsBefore = undefined;
    this.#killing = this.#killing.then(() => this.#kill());
  }

  #plan(): void {
    if (this.#left === 0) return;
    this.#left -= 1;
    this.#eventsBefore = 1 + this.#chance.integer(this.#options.mostEvents);
  }

  async #kill(): Promise<void> {
    const { system, onAgent, tell } = this.#options;
    const node = this.#chance.pick(system.nodes);
    const isOperator = this.#chance.happens(shareOfOperator);
    const victim = isOperator ? system.operator : node.agent;
    if (!isOperator) onAgent(node.name);
    tell(`  ${victim.program.name} is killed`);
    this.#count += 1;
    await victim.kill();
    this.#plan();
  }
}
