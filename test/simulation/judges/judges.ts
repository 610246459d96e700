// The judges that look at each write to the API server and at each message.
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import type { SimulatedSystem } from '../system/system.ts';
import type { World } from '../world.ts';
import { Budgets } from './budgets.ts';
import { Grants } from './grants.ts';
import { Invariants } from './invariants.ts';
import { Leaders } from './leaders.ts';
import { judgeProcess } from './processes.ts';
import { judgeRevisions } from './revisions.ts';
import { SingleRuns } from './single-runs.ts';
import { Spreading } from './spreading.ts';
import { Stops } from './stops.ts';
import { judgeSuccessor } from './successors.ts';

/**
 * `lag`: for how long an operator may not know what others wrote, until a silent watch is given up, or a watch catches up.
 * `transit`: how long a write can be on its way.
 */
const usual = { lag: 15_000, transit: 1_000 } as const;
const withApiFaults = { lag: 180_000, transit: 30_000 } as const;

export interface JudgesOptions {
  readonly world: World;
  readonly system: () => SimulatedSystem;
  /** Requests can take effect long after they were sent, and watches can be silent. */
  readonly hasApiFaults: boolean;
}

export class Judges {
  readonly #options: JudgesOptions;
  readonly #invariants: Invariants;
  readonly #budgets: Budgets;
  readonly #grants: Grants;
  readonly #leaders = new Leaders();
  readonly #singleRuns = new SingleRuns();
  readonly #spreading: Spreading;
  readonly #stops = new Stops();

  constructor(options: JudgesOptions) {
    this.#options = options;
    const { hasApiFaults, system, world } = options;
    const { now } = world.clock('judges');
    this.#invariants = new Invariants(system);
    const delays = hasApiFaults ? withApiFaults : usual;
    this.#spreading = new Spreading({ system, now, lag: delays.lag });
    this.#budgets = new Budgets({
      ...{ now, ...delays },
      isLate: () => system().api.isServingLate,
    });
    this.#grants = new Grants(now);
  }

  /** After each event. Throws when an invariant does not hold. */
  judge(): void {
    this.#invariants.judge();
  }

  wrote(write: Write): void {
    this.#judging(() => {
      this.#invariants.wrote(write);
      this.#singleRuns.wrote(write);
      judgeProcess(write);
      judgeSuccessor(write);
      this.#stops.wrote(write);
      this.#budgets.wrote(write);
      this.#grants.wrote(write);
      this.#spreading.wrote(write);
      judgeRevisions(this.#options.system(), write);
      if (!this.#options.hasApiFaults) this.#leaders.wrote(write);
    });
  }

  sent(text: string, host: string): void {
    this.#judging(() => {
      const find = (uid: string) => this.#machineOf(uid);
      this.#stops.sent(text, host, find);
      this.#grants.sent(text, host, find);
    });
  }

  read(text: string, host: string): void {
    this.#stops.read(text, host);
    this.#spreading.read(text, host);
  }

  /** Ends the run with what a judge throws. */
  #judging(judge: () => void): void {
    try {
      judge();
    } catch (error) {
      this.#options.world.fail(error);
    }
  }

  #machineOf(uid: string): StoredObject | undefined {
    const { api } = this.#options.system();
    return api.users.list('LinuxUtilityVM').find(({ metadata }) => metadata.uid === uid);
  }
}
