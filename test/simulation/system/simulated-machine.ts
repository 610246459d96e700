// A Windows node of the cluster: a computer with its compute service and its disk, and the pod of the agent on it, whose
// process is begun again whenever it ends.
import type { Logger } from 'pino';
import { runAgent } from '../../../agent/agent.ts';
import { defaultLinkTimes, defaultTimeouts } from '../../../agent/bounds/timeouts.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import type { Chance } from '../chance.ts';
import type { SimulatedDisk } from '../disk/disk.ts';
import { SimulatedStorage } from '../disk/state-storage.ts';
import type { Fate } from '../fates.ts';
import type { SimulatedHost } from '../host/host.ts';
import type { SimulatedNetwork } from '../network/network.ts';
import { Process } from '../process.ts';
import type { World } from '../world.ts';
import { sharedPipe } from './host-names.ts';

export interface MachineSurroundings {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly host: SimulatedHost;
  readonly disk: SimulatedDisk;
  readonly token: () => string;
  readonly loggerOf: (process: string) => Logger;
  /** Of the agent's processes. */
  readonly fate: (strike: () => void) => Fate | undefined;
  /** The age at which an agent renews its session, in milliseconds. */
  readonly renewal: number;
}

const stateDir = '/ProgramData/lcow';
const stateFolder = 'C:\\ProgramData\\lcow';
/** How long the kubelet waits before it begins an ended container again. */
const restartMilliseconds = 10_000;
/** How often an agent that dies in a call does so because its computer loses power. */
const shareOfPowerLosses = 0.25;

export class SimulatedMachine {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly disk: SimulatedDisk;
  readonly #surroundings: MachineSurroundings;
  readonly #storage: SimulatedStorage;
  readonly #deaths: Chance;
  #number = 0;
  #process: Process | undefined;
  #stop: AbortController | undefined;
  #isOff = false;
  skew = 0;
  /** Ends of agents that neither a crash nor the compute service explains. */
  readonly unexplainedEnds: string[] = [];

  constructor(surroundings: MachineSurroundings) {
    this.name = surroundings.host.name;
    this.host = surroundings.host;
    this.disk = surroundings.disk;
    this.#surroundings = surroundings;
    this.#deaths = surroundings.world.chance(`deaths on ${this.name}`);
    this.#storage = new SimulatedStorage(surroundings.disk);
  }

  get process(): Process | undefined {
    return this.#process;
  }

  get isUp(): boolean {
    return this.#process?.isAlive === true;
  }

  /** Whether the computer has failed. */
  get isOff(): boolean {
    return this.#isOff;
  }

  /** Has no effect while an agent runs, or while the computer is off. */
  startAgent(): void {
    if (this.isUp || this.#isOff) return;
    this.#number += 1;
    const { fate, host, loggerOf, network, renewal, token, world } = this.#surroundings;
    const process = new Process(
      world,
      `agent of ${this.name}.${this.#number}`,
      () => this.skew,
      fate(() => this.#dieInCall()),
    );
    world.note(`${process.name} starts`);
    const stop = new AbortController();
    this.#process = process;
    this.#stop = stop;
    const chance = world.chance(process.name);
    const end = (why: string) => {
      if (!process.isAlive) return;
      world.note(`${process.name} ended: ${why}`);
      process.die();
      this.#restartLater();
    };
    runAgent(
      {
        version: '0.1.0',
        operator: { url: 'wss://operator:8443/v1/agents', tokenFile: 'token', caFile: undefined },
        stateDir,
        stateFolder,
        ownFolders: [stateFolder],
        timeouts: defaultTimeouts,
        linkTimes: { ...defaultLinkTimes, renewal },
        allowed: allowList({ paths: ['C:\\'], pipes: [sharedPipe], devices: [] }),
        guestLog: {},
        healthPort: undefined,
      },
      {
        clock: process.clock,
        random: chance.number,
        randomUUID: () => chance.uuid(),
        randomBytes: (size) => chance.bytes(size),
        logTurns: {
          afterOthers: (run) => void process.clock.after(0, run),
          now: () => world.elapsed,
        },
        openSocket: network.openSocket(process, this.name, token),
        node: { storage: this.#storage.for(process), connect: () => host.connect(process) },
        logger: loggerOf(process.name),
      },
      stop.signal,
    ).then(end, (error: unknown) => {
      if (process.isAlive && !stop.signal.aborted) this.unexplainedEnds.push(messageOf(error));
      end(messageOf(error));
    });
  }

  #dieInCall(): void {
    if (this.#deaths.happens(shareOfPowerLosses)) this.losePower();
    else this.crashAgent();
  }

  crashAgent(): void {
    if (!this.isUp) return;
    this.#surroundings.world.note(`${this.#process?.name} crashes`);
    this.#process?.die();
    this.#restartLater();
  }

  /** Ends the agent as the kubelet does when its pod is replaced. */
  stopAgent(): void {
    this.#stop?.abort(new Error('the pod is stopped'));
  }

  /** The computer loses power and comes up again. */
  losePower(): void {
    if (this.#isOff) return;
    this.#cutPower();
    this.#restartLater();
  }

  /** The computer goes off and stays off. */
  fail(): void {
    if (this.#isOff) return;
    this.#isOff = true;
    this.#cutPower();
  }

  /** The computer is back, with its disk. */
  repair(): void {
    this.#isOff = false;
    this.startAgent();
  }

  #cutPower(): void {
    this.#surroundings.world.note(`${this.name} loses power`);
    this.#process?.die();
    this.host.powerLoss();
    this.disk.crashOfHost();
  }

  #restartLater(): void {
    this.#surroundings.world.after(restartMilliseconds, `kubelet of ${this.name}`, () => this.startAgent());
  }
}
