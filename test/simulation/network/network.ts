// The network between agents and operators: a Service in front of the operators' doors. It delays, cuts and forgets
// connections. TLS is not part of it.
import { type DialSettings, OtherReplicaError } from '../../../agent/link/dial.ts';
import type { AgentDoor } from '../../../operator/agents/door.ts';
import type { AgentListener } from '../../../operator/operator.ts';
import type { Socket } from '../../../protocol/socket.ts';
import type { Chance } from '../chance.ts';
import { never, type Process } from '../process.ts';
import type { World } from '../world.ts';
import { connectedSockets, type SimulatedSocket } from './socket.ts';

export interface NetworkSettings {
  /** Longest time of a frame on its way, in milliseconds. */
  readonly latency: number;
  /** Probability that a new connection is lost within the next minutes, with or without a word. */
  readonly losses?: number;
  /** Probability that an attempt to connect gets no answer. */
  readonly silence?: number;
}

export interface NetworkOptions {
  readonly world: World;
  readonly settings: NetworkSettings;
  /** Receives the kind of each fault. */
  readonly injected?: (kind: string) => void;
  readonly messages?: Messages;
}

/** What sees the messages between operators and the agent of a host. */
export interface Messages {
  sent(text: string, host: string): void;
  read(text: string, host: string): void;
}

interface Listening {
  readonly process: Process;
  readonly door: AgentDoor;
}

/** As long as the product waits for a handshake. */
const handshakeMilliseconds = 10_000;
const lossWithinMilliseconds = 10 * 60_000;

export class SimulatedNetwork {
  settings: NetworkSettings;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #injected: (kind: string) => void;
  readonly #messages: Messages | undefined;
  readonly #listening = new Set<Listening>();
  readonly #cut = new Set<string>();
  /** The open ends of connections, by host. */
  readonly #ends = new Map<string, Set<SimulatedSocket>>();
  /** By host: the operator's end of its latest connection, and when it was opened. */
  readonly #latest = new Map<string, { readonly far: SimulatedSocket; readonly since: number }>();

  constructor({ world, settings, injected = () => {}, messages }: NetworkOptions) {
    this.#messages = messages;
    this.#world = world;
    this.#chance = world.chance('network');
    this.settings = settings;
    this.#injected = injected;
  }

  /** What an operator passes its door to. */
  listener(process: Process): (door: AgentDoor) => AgentListener {
    return (door) => {
      const listening = { process, door };
      process.onDeath(() => this.#listening.delete(listening));
      return {
        listen: () => {
          if (process.mayAct()) this.#listening.add(listening);
          return Promise.resolve({ port: 8443 });
        },
        useCertificate: () => {},
        close: async () => {
          this.#listening.delete(listening);
          door.close();
          await new Promise<void>((resolve) => process.clock.after(1_000, resolve));
          door.disconnect();
        },
      };
    };
  }

  /** Cuts or restores the way between a host and the operators, by the name of the host. */
  cut(host: string, isCut: boolean): void {
    if (isCut) this.#cut.add(host);
    else if (this.#cut.delete(host)) for (const end of this.#ends.get(host) ?? []) end.mend();
  }

  /** For how long an operator has had a connection to the agent of the host, in milliseconds: 0 if none has. */
  connectedFor(host: string): number {
    return this.#world.elapsed - (this.#latest.get(host)?.since ?? this.#world.elapsed);
  }

  /** One attempt of an agent to connect to whichever operator the Service chooses. */
  openSocket(
    process: Process,
    host: string,
    token: () => string,
  ): (settings: DialSettings, signal: AbortSignal) => Promise<Socket> {
    return async (_settings, signal) => {
      const bearer = token();
      return await this.#attempt(process, host, bearer, signal);
    };
  }

  async #attempt(process: Process, host: string, bearer: string, signal: AbortSignal): Promise<Socket> {
    const answer = this.#knock(process, host, bearer);
    const silence = new Promise<never>((_, reject) => {
      const timer = process.clock.after(handshakeMilliseconds, () => {
        reject(new OtherReplicaError('Opening handshake has timed out'));
      });
      const onAbort = () => {
        timer.cancel();
        reject(signal.reason);
      };
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      const settled = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
      };
      answer.then(settled, settled);
    });
    silence.catch(() => {});
    const socket = await Promise.race([answer, silence]).catch((error: unknown) => {
      void answer.then(
        (late) => late.terminate(),
        () => {},
      );
      throw error;
    });
    return socket;
  }

  async #knock(process: Process, host: string, bearer: string): Promise<Socket> {
    const { silence = 0 } = this.settings;
    if (!process.mayAct()) return never();
    await this.#travel(host);
    if (this.#chance.happens(silence)) {
      this.#injected('a connection without an answer');
      return never();
    }
    if (this.#cut.has(host)) return never();
    const chosen = this.#choose();
    if (chosen === undefined) throw new Error('connect ECONNREFUSED');
    await new Promise<void>((resolve) => chosen.process.whenRunning(resolve));
    const answer = await chosen.door.knock({ bearer, address: host });
    if (!chosen.process.isAlive) throw new Error('socket hang up');
    if (answer.kind === 'Refused') {
      await this.#travel(host);
      if (answer.status === 503) throw new OtherReplicaError('the operator answered 503');
      throw new Error(`the operator answered ${answer.status}`);
    }
    const { near, far } = this.#connect(process, host, chosen.process);
    answer.enter(far);
    await this.#travel(host);
    if (!process.isAlive) return never();
    return near;
  }

  /** The Service knows for a while of operators that are gone; a connection to them is refused. */
  #choose(): Listening | undefined {
    const all = [...this.#listening];
    return all.length === 0 ? undefined : this.#chance.pick(all);
  }

  #connect(
    agent: Process,
    host: string,
    operator: Process,
  ): { readonly near: SimulatedSocket; readonly far: SimulatedSocket } {
    let isLost = false;
    const pair = connectedSockets({
      world: this.#world,
      source: `network of ${host}`,
      latency: () => this.#latency(),
      isCut: () => isLost || this.#cut.has(host),
      sent: (text) => this.#messages?.sent(text, host),
      read: (text) => this.#messages?.read(text, host),
      isHeld: { near: () => agent.isHeld, far: () => operator.isHeld },
    });
    operator.onResume(() => pair.near.mend());
    agent.onResume(() => pair.far.mend());
    this.#remember(host, pair.near);
    this.#remember(host, pair.far);
    this.#latest.set(host, { far: pair.far, since: this.#world.elapsed });
    pair.far.once('close', () => {
      if (this.#latest.get(host)?.far === pair.far) this.#latest.delete(host);
    });
    agent.onDeath(() => pair.near.sever({ told: true }));
    operator.onDeath(() => pair.far.sever({ told: true }));
    const { losses = 0 } = this.settings;
    if (this.#chance.happens(losses)) {
      const isHalfOpen = this.#chance.happens(0.5);
      this.#world.after(this.#chance.integer(lossWithinMilliseconds), `loss of ${host}`, () => {
        if (pair.near.readyState === 3) return;
        this.#injected(isHalfOpen ? 'a half-open connection' : 'a lost connection');
        if (isHalfOpen) isLost = true;
        else {
          pair.near.terminate();
          pair.far.terminate();
        }
      });
    }
    return pair;
  }

  #remember(host: string, end: SimulatedSocket): void {
    const ends = this.#ends.get(host) ?? new Set();
    this.#ends.set(host, ends.add(end));
    end.once('close', () => ends.delete(end));
  }

  #travel(host: string): Promise<void> {
    return this.#world.delay(this.#latency(), `network of ${host}`);
  }

  #latency(): number {
    return 1 + this.#chance.integer(Math.max(1, this.settings.latency));
  }
}
