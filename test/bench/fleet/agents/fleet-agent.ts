// One agent of the fleet, without a host: its connection, which it keeps up as the real agent does, and its VMs, each of
// which boots for a fixed time.
import { once } from 'node:events';
import type { SecureContext } from 'node:tls';
import { WebSocket } from 'ws';
import { defaultLinkTimes, fixedTimes } from '../../../../agent/bounds/timeouts.ts';
import { dial, OtherReplicaError } from '../../../../agent/link/dial.ts';
import { webSocketMaxPayload } from '../../../../protocol/channel.ts';
import {
  type Assignment,
  agentsPath,
  closeCodes,
  limits,
  type ObservedVirtualMachine,
  subprotocol,
} from '../../../../protocol/messages.ts';
import { delay, systemClock } from '../../../../runtime/clock.ts';
import { messageOf } from '../../../../runtime/error-text.ts';
import { ScriptedAgent, someHost } from '../../../support/operator/scripted-agent.ts';
import { booting, running } from '../../converge-agents.ts';
import type { AgentSettings, Span } from './messages.ts';

/** A VM takes this long to have another memory size. */
const changeMilliseconds = 20;
/** Of the boot time. */
const phases = [
  { phase: 'Staging', at: 0 },
  { phase: 'Creating', at: 0.1 },
  { phase: 'Starting', at: 0.3 },
] as const;
/** The code of a connection that ended without a word. */
const lostCode = 1006;
const host = { ...someHost, memoryInMB: 4 << 20 };

export interface FleetAgentSettings extends AgentSettings {
  readonly port: () => number;
  readonly trusted: SecureContext;
  readonly bootMilliseconds: number;
  readonly bare: boolean;
  readonly booted: (boot: Span) => void;
  readonly wasAway: (span: Span) => void;
}

export class FleetAgent {
  /** It has a session, and has been told all its VMs. */
  isLive = false;
  readonly #settings: FleetAgentSettings;
  readonly #agent = new ScriptedAgent();
  /** Booting or stopping. */
  readonly #busy = new Set<string>();
  #socket: WebSocket | undefined;
  #hasLeft = false;
  readonly #leaving = new AbortController();

  constructor(settings: FleetAgentSettings) {
    this.#settings = settings;
    this.#agent.onAssign = (assignment) => this.#follow(assignment);
    this.#agent.onReceive = (message) => {
      if (message.type === 'welcome') this.#agent.lastEpoch = message.epoch;
      if (message.type === 'desired' && message.last) this.#settled();
      // Nobody asks for them, and a fleet receives many.
      this.#agent.received.length = 0;
    };
  }

  /** Resolves after `leave`. Waits between attempts as `agent/link/link.ts` does. */
  async stayConnected(): Promise<void> {
    for (let failures = 0; !this.#hasLeft; ) {
      failures = await this.#session(failures).catch(() => failures + 1);
      this.isLive = false;
      const { firstRetry, lastRetry } = defaultLinkTimes;
      const ceiling = Math.min(lastRetry, firstRetry * 2 ** Math.min(failures, 16));
      if (!this.#hasLeft) await delay(systemClock, Math.random() * ceiling);
    }
  }

  drop(): void {
    this.#socket?.terminate();
  }

  leave(): void {
    this.#hasLeft = true;
    this.#leaving.abort();
    this.drop();
  }

  /** Resolves when the connection has ended, with the number of failures in a row. */
  async #session(failures: number): Promise<number> {
    const { bare } = this.#settings;
    const begun = performance.now();
    const ports = { clock: systemClock, random: Math.random, openSocket: () => this.#open() };
    const socket = await dial({ url: '', tokenFile: '', caFile: undefined }, ports, this.#leaving.signal);
    this.#agent.attach(socket);
    this.#hello();
    if (bare) this.isLive = true;
    const { code } = await this.#agent.closed;
    if (code === closeCodes.shuttingDown || performance.now() - begun >= defaultLinkTimes.healthy) return 0;
    return 1 + Math.min(failures, code === lostCode ? 1 : failures);
  }

  /** As `openWebSocket` of the agent, without files, and from an address of its own. */
  async #open(): Promise<WebSocket> {
    const { port, token, address, trusted } = this.#settings;
    const socket = new WebSocket(`wss://127.0.0.1:${port()}${agentsPath}`, [subprotocol], {
      ...{ secureContext: trusted, minVersion: 'TLSv1.3', localAddress: address },
      headers: { authorization: `Bearer ${token}` },
      handshakeTimeout: fixedTimes.link.handshake,
      maxPayload: webSocketMaxPayload,
      perMessageDeflate: false,
      generateMask: (mask) => mask.fill(0),
    });
    this.#socket = socket;
    try {
      await once(socket, 'open');
    } catch (error) {
      throw isOtherReplica(messageOf(error)) ? new OtherReplicaError(messageOf(error)) : error;
    }
    return socket;
  }

  /** As the real agent: without text, in parts. */
  #hello(): void {
    const all = [...this.#agent.machines.values()].map(abridged);
    const { lastEpoch } = this.#agent;
    for (let first = 0; first === 0 || first < all.length; first += limits.partElements) {
      this.#agent.send({
        type: 'hello',
        protocolVersions: [subprotocol],
        agentVersion: 'fleet',
        bootID: '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f',
        ...(lastEpoch !== undefined && { lastEpoch }),
        host,
        virtualMachines: all.slice(first, first + limits.partElements),
        complete: true,
        last: first + limits.partElements >= all.length,
      });
    }
  }

  #settled(): void {
    this.isLive = true;
    for (const machine of this.#agent.machines.values()) this.#agent.observe(machine);
  }

  #follow(assignment: Assignment): void {
    const { uid, restartedAt } = assignment;
    if (this.#busy.has(uid)) return;
    const known = this.#agent.machines.get(uid);
    if (known === undefined) this.#boot(assignment, this.#settings.booted);
    else if (restartedAt !== undefined && restartedAt !== known.restartedAt)
      this.#boot(assignment, this.#settings.wasAway);
    else systemClock.after(changeMilliseconds, () => this.#change(uid));
  }

  #boot({ uid, generation, optionsDigest }: Assignment, done: (span: Span) => void): void {
    const from = now();
    const told = { generation, optionsDigest, wantedDigest: optionsDigest };
    this.#busy.add(uid);
    for (const { phase, at } of phases) {
      systemClock.after(this.#settings.bootMilliseconds * at, () => {
        if (this.#agent.assignments.has(uid)) this.#agent.observe(booting(uid, told, phase));
      });
    }
    systemClock.after(this.#settings.bootMilliseconds, () => {
      this.#busy.delete(uid);
      const latest = this.#agent.assignments.get(uid);
      if (latest === undefined) return;
      this.#agent.observe(asAssigned(latest, running(uid, toldBy(latest))));
      done({ uid, from, to: now() });
    });
  }

  #change(uid: string): void {
    const [known, latest] = [this.#agent.machines.get(uid), this.#agent.assignments.get(uid)];
    if (known === undefined || latest === undefined || this.#busy.has(uid)) return;
    this.#agent.observe(asAssigned(latest, { ...known, ...toldBy(latest) }));
  }
}

/** By the texts of `ws`: nobody answered, or a replica that does not lead did. */
function isOtherReplica(message: string): boolean {
  return message === 'Opening handshake has timed out' || message === 'Unexpected server response: 503';
}

function toldBy({ generation, optionsDigest }: Assignment) {
  return { generation, optionsDigest, wantedDigest: optionsDigest };
}

function asAssigned(
  { options, restartedAt, sourceDigest }: Assignment,
  machine: ObservedVirtualMachine,
): ObservedVirtualMachine {
  const { MemorySizeInMB } = options;
  return {
    ...machine,
    ...(MemorySizeInMB !== undefined && { memorySizeInMB: MemorySizeInMB }),
    ...(sourceDigest !== undefined && { sourceDigest }),
    ...(restartedAt !== undefined && { restartedAt }),
  };
}

function abridged(machine: ObservedVirtualMachine): ObservedVirtualMachine {
  return { ...machine, guestLog: { ...machine.guestLog, head: [], tail: [] }, warnings: [], abridged: true };
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
