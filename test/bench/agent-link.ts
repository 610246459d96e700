// The bench's end of its agent's messages (agent-events.ts): plays the guests, and records when each VM was assigned
// and ran.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RuntimeId } from '../../agent/node/backend.ts';
import { systemClock } from '../../runtime/clock.ts';
import { sealedBoot } from '../../simulator/guest/boot-command.ts';
import { DiskFiles } from '../../simulator/guest/filesystem.ts';
import { SimulatedGuest } from '../../simulator/guest/guest.ts';
import { simulatedHostFile } from '../../simulator/host-file.ts';
import { Script } from '../../simulator/wire/script.ts';
import type { Wakings } from '../support/doubles/winsock.ts';
import { type AgentEvent, agentEvent } from './agent-events.ts';

/** Connects a guest to its host. */
export type DialHost = (runtimeId: RuntimeId, port: number) => Socket;

const { timing } = simulatedHostFile.parse({
  build: 20348,
  logicalProcessors: 1,
  timing: { bootMilliseconds: 0, initMilliseconds: 0, logIntervalMilliseconds: 1000, redialMilliseconds: 1 },
});

/** Times are milliseconds since the epoch. */
interface Life {
  readonly begun: number;
  readonly running: number;
}

const patience = 60_000;

export class AgentLink implements AsyncDisposable {
  readonly #server: Server;
  readonly #dial: DialHost;
  readonly #lives = new Map<string, Life>();
  readonly #asked: ((wakings: Wakings) => void)[] = [];
  #agent: Socket | undefined;

  private constructor(dial: DialHost) {
    this.#dial = dial;
    this.#server = createServer((socket) => {
      this.#agent = socket.on('error', () => {});
      createInterface(socket).on('line', (line) => this.#follow(agentEvent.parse(JSON.parse(line))));
    });
  }

  static async listen(dial: DialHost): Promise<AgentLink> {
    const link = new AgentLink(dial);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.endAgent();
    this.#server.close();
    await once(this.#server, 'close');
  }

  endAgent(): void {
    this.#agent?.destroy();
  }

  /** Milliseconds from its assignment until it ran, for each VM, in the order of the assignments. */
  async lives(): Promise<number[]> {
    return (await this.#complete()).map(({ begun, running }) => running - begun);
  }

  async lastRunning(): Promise<number> {
    return Math.max(...(await this.#complete()).map(({ running }) => running));
  }

  forget(): void {
    this.#lives.clear();
  }

  wakings(): Promise<Wakings> {
    const answer = new Promise<Wakings>((resolve) => this.#asked.push(resolve));
    this.#agent?.write('\n');
    return answer;
  }

  /** These messages can arrive later than those to the operator, so this waits for them. */
  async #complete(): Promise<readonly Life[]> {
    const deadline = performance.now() + patience;
    while ([...this.#lives.values()].some(({ running }) => Number.isNaN(running))) {
      if (performance.now() > deadline) throw new Error('the agent did not say when its VMs ran');
      await sleep(5);
    }
    return [...this.#lives.values()];
  }

  #follow(event: AgentEvent): void {
    if ('runtimeId' in event) this.#playGuest(event.system, event.runtimeId as RuntimeId);
    else if ('wakings' in event) this.#asked.shift()?.(event.wakings);
    else {
      const known = this.#lives.get(event.uid) ?? { begun: Number.NaN, running: Number.NaN };
      this.#lives.set(event.uid, { ...known, ...event });
    }
  }

  #playGuest(systemId: string, runtimeId: RuntimeId): void {
    new SimulatedGuest({
      systemId,
      boot: sealedBoot,
      dial: (port) => connected(this.#dial(runtimeId, port)),
      clock: systemClock,
      timing,
      script: new Script(systemClock, []),
      disks: { isAttached: () => false, files: () => new DiskFiles(), share: () => undefined },
      onEnd: () => undefined,
    }).start();
  }
}

function connected(socket: Socket): Promise<Socket | 'refused'> {
  return new Promise((resolve) => {
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // Users of the socket see its end by `close`.
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', () => resolve('refused'));
  });
}
