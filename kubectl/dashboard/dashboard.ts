// `kubectl luvm dashboard`: the fleet on the whole terminal, as it changes. It lists and watches each kind once, however
// many objects there are, and draws at most a few times a second.
import type { Readable } from 'node:stream';
import { type Clock, delay, type Timer } from '../../runtime/clock.ts';
import { plainText } from '../../runtime/plain-text.ts';
import type { ChildRunner } from '../command-line.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { hostsPath, machinesPath, setsPath } from '../machines.ts';
import { Collection } from './collection.ts';
import type { Fleet } from './fleet.ts';
import { keysOf } from './keys.ts';
import { Painter } from './painter.ts';
import { hostRow, machineRow, setRow } from './rows.ts';
import { linesOf, rowsIn, type Size } from './screen.ts';
import { type Action, firstState, press, type State } from './state.ts';

export interface DashboardOptions {
  readonly allNamespaces: boolean;
  /** Of VMs and sets. */
  readonly selector: string | undefined;
  /** Whether wrong rows are red. */
  readonly hasColours: boolean;
  readonly runChild: ChildRunner;
}

const drawMilliseconds = 250;
/** Ages grow even when nothing changes. */
const ageMilliseconds = 10_000;

export async function dashboard(options: DashboardOptions, ports: CommandPorts): Promise<number> {
  if (ports.terminal.size === undefined) {
    throw new Error('the dashboard needs a terminal: "kubectl luvm status" and "kubectl luvm top" print for programs');
  }
  return await new Dashboard(options, ports).run();
}

class Dashboard {
  readonly #options: DashboardOptions;
  readonly #ports: CommandPorts;
  readonly #over = new AbortController();
  readonly #painter: Painter;
  readonly #machines;
  readonly #hosts;
  readonly #sets;
  #state: State = firstState;
  #drawing: Timer | undefined;
  /** Another command has the terminal. */
  #isAway = false;
  #running: Promise<void> = Promise.resolve();

  constructor(options: DashboardOptions, ports: CommandPorts) {
    this.#options = options;
    this.#ports = ports;
    const { allNamespaces, hasColours, selector } = options;
    const { api, clock, random, terminal } = ports;
    this.#painter = new Painter(terminal.output, hasColours);
    const namespace = allNamespaces ? undefined : api.namespace;
    const shared = { api, clock, random, onChange: () => this.#drawSoon() };
    this.#machines = new Collection({ ...shared, path: machinesPath(namespace), selector, rowOf: machineRow });
    this.#hosts = new Collection({ ...shared, path: hostsPath, selector: undefined, rowOf: hostRow });
    this.#sets = new Collection({ ...shared, path: setsPath(namespace), selector, rowOf: setRow });
  }

  async run(): Promise<number> {
    const { clock, terminal } = this.#ports;
    const stopListening = terminal.onResize(() => {
      this.#painter.forget();
      this.#drawSoon();
    });
    const stopSayingFarewell = terminal.onKill(() => this.#painter.end());
    const onInput = (bytes: Buffer | string) => this.#type(bytes.toString());
    this.#enter(terminal.input, onInput);
    const { signal } = this.#over;
    try {
      await Promise.all([
        ...[this.#machines, this.#hosts, this.#sets].map((each) => each.run(signal)),
        this.#grow(clock, signal),
      ]);
    } finally {
      await this.#running;
      this.#drawing?.cancel();
      stopListening();
      stopSayingFarewell();
      this.#leave(terminal.input, onInput);
    }
    return exitCodes.ok;
  }

  #enter(input: Readable, onInput: (bytes: Buffer | string) => void): void {
    this.#ports.terminal.raw(true);
    input.on('data', onInput);
    input.once('end', () => this.#over.abort());
    this.#painter.begin();
    this.#drawSoon();
  }

  #leave(input: Readable, onInput: (bytes: Buffer | string) => void): void {
    this.#painter.end();
    input.off('data', onInput);
    input.pause();
    this.#ports.terminal.raw(false);
  }

  async #grow(clock: Clock, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(clock, ageMilliseconds, signal).catch(() => undefined);
      this.#drawSoon();
    }
  }

  #type(input: string): void {
    if (this.#isAway) return;
    for (const key of keysOf(input)) {
      const { action, state } = press(this.#state, key, this.#fleet, rowsIn(this.#size));
      this.#state = state;
      if (action !== undefined) {
        this.#act(action);
        break;
      }
    }
    this.#drawNow();
  }

  #act(action: Action): void {
    if (action.kind === 'Quit') {
      this.#over.abort();
      return;
    }
    this.#running = this.#runOther(action).catch((error: unknown) => {
      this.#state = { ...this.#state, notice: `error: ${plainText(String(error))}` };
    });
  }

  /** Gives the terminal to another command until that has ended. */
  async #runOther({ row: { name, namespace }, verb }: Extract<Action, { kind: 'Run' }>): Promise<void> {
    const { terminal } = this.#ports;
    this.#isAway = true;
    this.#painter.end();
    terminal.input.pause();
    terminal.raw(false);
    try {
      const isWell = await this.#options.runChild([`--namespace=${namespace}`, ...wordsOf(verb, name)]);
      if (!isWell || verb === 'status' || verb === 'restart') await this.#untilKey();
    } finally {
      terminal.raw(true);
      terminal.input.resume();
      this.#painter.begin();
      this.#isAway = false;
      this.#drawNow();
    }
  }

  /** What was printed stays until the user has read it. */
  async #untilKey(): Promise<void> {
    const { terminal } = this.#ports;
    terminal.output.write('\r\n(any key: back to the dashboard)');
    terminal.raw(true);
    terminal.input.resume();
    await new Promise<void>((resolve) => terminal.input.once('data', () => resolve()));
  }

  #drawSoon(): void {
    this.#drawing ??= this.#ports.clock.after(drawMilliseconds, () => this.#drawNow());
  }

  #drawNow(): void {
    this.#drawing?.cancel();
    this.#drawing = undefined;
    if (this.#isAway || this.#over.signal.aborted) return;
    const { api, clock } = this.#ports;
    const scope = this.#options.allNamespaces ? 'all namespaces' : `namespace ${api.namespace}`;
    const scene = { state: this.#state, fleet: this.#fleet, scope, now: clock.now() };
    this.#painter.paint(linesOf(scene, this.#size));
  }

  get #size(): Size {
    return this.#ports.terminal.size ?? { height: 24, width: 80 };
  }

  get #fleet(): Fleet {
    const [machines, hosts, sets] = [this.#machines, this.#hosts, this.#sets];
    return {
      machines: [...machines.rows.values()],
      hosts: [...hosts.rows.values()],
      sets: [...sets.rows.values()],
      knowledge: { VMs: machines.knowledge, hosts: hosts.knowledge, sets: sets.knowledge },
    };
  }
}

function wordsOf(verb: Extract<Action, { kind: 'Run' }>['verb'], name: string): readonly string[] {
  switch (verb) {
    case 'logs':
      return ['logs', '--follow', '--tail=200', name];
    case 'exec':
      return ['exec', '-i', '-t', name, '--', 'sh'];
    default:
      return [verb, name];
  }
}
