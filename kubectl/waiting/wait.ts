// `kubectl luvm wait`: until VMs are ready, halted, completed or deleted. Where `kubectl wait` would wait for its
// time-out, this command ends with the reason: a VM that cannot get there as it is, or that has gone. It asks once a
// second, so it needs no right to watch.
import { delay } from '../../runtime/clock.ts';
import { type Api, ApiFailure } from '../api.ts';
import { type CommandPorts, exitCodes, reconnectPatience } from '../commands.ts';
import { listed, machinePath, machinesPath, type Selection, selectedNames } from '../machines.ts';
import { machineType } from '../object-types.ts';
import { Patience } from '../patience.ts';
import { tell, writeTo } from '../terminal.ts';
import type { Goal } from './goals.ts';
import { type Judgement, judge, type WaitedMachine, waitedMachine } from './judgement.ts';

export interface WaitOptions extends Selection {
  readonly goal: Goal;
  /** Undefined: for as long as it takes. */
  readonly timeoutMilliseconds: number | undefined;
}

const intervalMilliseconds = 1_000;

export async function wait(options: WaitOptions, ports: CommandPorts): Promise<number> {
  const names = await selectedNames(ports.api, options);
  return await new Waiting(names, options, ports).run();
}

interface Awaited {
  readonly uid: string | undefined;
  readonly why: string;
}

class Waiting {
  readonly #options: WaitOptions;
  readonly #ports: CommandPorts;
  readonly #patience: Patience;
  readonly #startedAt: number;
  /** By name: the VMs that are not there yet. */
  readonly #awaited: Map<string, Awaited>;
  #code: number = exitCodes.ok;

  constructor(names: readonly string[], options: WaitOptions, ports: CommandPorts) {
    const { clock, random, terminal } = ports;
    const unknown = { uid: undefined, why: 'the API server has not answered' };
    this.#awaited = new Map(names.map((name) => [name, unknown]));
    this.#options = options;
    this.#ports = ports;
    this.#startedAt = clock.now();
    const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
    this.#patience = new Patience({ clock, random, limitMilliseconds: reconnectPatience, onTrouble });
  }

  async run(): Promise<number> {
    const { goal } = this.#options;
    const { clock } = this.#ports;
    for (;;) {
      await this.#look();
      if (this.#isLate) {
        for (const [name, { why }] of this.#awaited) this.#fail(name, `is not ${goal} in time`, why);
      }
      if (this.#awaited.size === 0) return this.#code;
      await delay(clock, intervalMilliseconds);
    }
  }

  async #look(): Promise<void> {
    try {
      const found = await this.#read();
      this.#patience.succeeded();
      for (const [name, before] of this.#awaited) await this.#take(name, before, found.get(name));
    } catch (error) {
      // The time-out of the command ends it earlier than patience does.
      if (!this.#isLate) await this.#patience.wait(error);
    }
  }

  /** One list for all that a selector selects, or one request for each name. */
  async #read(): Promise<ReadonlyMap<string, WaitedMachine>> {
    const { api } = this.#ports;
    const { selector } = this.#options;
    const found = new Map<string, WaitedMachine>();
    const add = (object: unknown) => {
      const parsed = waitedMachine.parse(object);
      found.set(parsed.metadata.name, parsed);
    };
    if (selector !== undefined)
      for await (const each of listed(api, machinesPath(api.namespace), { selector })) add(each);
    else for (const name of this.#awaited.keys()) await readIfThere(api, machinePath(api.namespace, name), add);
    return found;
  }

  async #take(name: string, before: Awaited, found: WaitedMachine | undefined): Promise<void> {
    const { goal } = this.#options;
    const { kind, why } = this.#judge(before, found);
    this.#awaited.set(name, { uid: found?.metadata.uid ?? before.uid, why });
    if (kind === 'Never') this.#fail(name, `will not be ${goal}`, why);
    if (kind !== 'There') return;
    this.#awaited.delete(name);
    await writeTo(this.#ports.terminal.output, `${machineType.short}/${name} is ${goal}\n`);
  }

  #judge({ uid }: Awaited, found: WaitedMachine | undefined): Judgement {
    const { goal } = this.#options;
    if (found !== undefined && (uid === undefined || uid === found.metadata.uid)) return judge(found, goal);
    const why = found === undefined ? 'there is no such VM' : 'it was deleted and made again';
    return { kind: goal === 'deleted' ? 'There' : 'Never', why };
  }

  #fail(name: string, what: string, why: string): void {
    tell(this.#ports.terminal, `error: ${machineType.short}/${name} ${what}: ${why}`);
    this.#awaited.delete(name);
    this.#code = exitCodes.failed;
  }

  get #isLate(): boolean {
    const { timeoutMilliseconds: limit = Number.POSITIVE_INFINITY } = this.#options;
    return this.#ports.clock.now() - this.#startedAt >= limit;
  }
}

async function readIfThere(api: Api, path: string, add: (object: unknown) => void): Promise<void> {
  try {
    add(await api.json({ path }));
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== 404) throw error;
  }
}
