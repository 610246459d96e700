// An agent that a test scripts: speaks lcow.v1 over a real WebSocket, remembers its messages, and by default does at
// once what it is told.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { Channel, type ChannelClosed } from '../../../protocol/channel.ts';
import type { MessageOfAgents } from '../../../protocol/earlier-agents.ts';
import { type Intent, parseIntent } from '../../../protocol/intent.ts';
import {
  type Assignment,
  agentsPath,
  type HostFacts,
  type ObservedVirtualMachine,
  operatorMessage,
  parseAssignment,
  subprotocol,
} from '../../../protocol/messages.ts';
import { systemClock } from '../../../runtime/clock.ts';

/** Includes messages that only an agent of the previous version receives. */
const heard = z.union([
  operatorMessage,
  z.object({ type: z.literal('logsAck'), uid: z.uuid(), boot: z.int(), sequence: z.int() }),
]);
type Heard = z.infer<typeof heard>;

export const someHost: HostFacts = {
  osBuild: 20_348,
  architecture: 'amd64',
  logicalProcessors: 8,
  memoryInMB: 65_536,
  numaNodes: [{ number: 0, logicalProcessors: 8, memoryInMB: 65_536 }],
  isolation: [],
  bootFiles: [{ path: 'C:\\LinuxBootFiles', files: ['kernel', 'initrd.img'] }],
};

export function observedMachine(uid: string, changes: Partial<ObservedVirtualMachine> = {}): ObservedVirtualMachine {
  return {
    uid,
    phase: 'Running',
    conditions: [
      { type: 'Prepared', status: 'True', reason: 'Prepared', message: 'built' },
      { type: 'Created', status: 'True', reason: 'Created', message: 'exists' },
      { type: 'GuestConnected', status: 'True', reason: 'Connected', message: 'connected' },
      { type: 'Ready', status: 'True', reason: 'Running', message: 'runs' },
    ],
    restarts: 0,
    guestLog: { head: ['1', '2', '3', '4', '5'], tail: ['6'], total: 6, dropped: 0 },
    bootTimings: {},
    warnings: [],
    startTime: '2026-01-01T00:00:00.000Z',
    systemID: `luvm-${uid}`,
    ...changes,
  };
}

const halted: Pick<ObservedVirtualMachine, 'phase' | 'conditions'> = {
  phase: 'Stopped',
  conditions: [{ type: 'Ready', status: 'True', reason: 'Halted', message: 'halted' }],
};

export class ScriptedAgent {
  /** The agent's VMs, as it reports them. */
  readonly machines = new Map<string, ObservedVirtualMachine>();
  readonly assignments = new Map<string, Assignment>();
  readonly received: Heard[] = [];
  /** Epoch of its last session, as the agent remembers it. */
  lastEpoch: number | undefined;
  readonly intents = new Map<string, Intent>();
  /** The capabilities in its hello. */
  capabilities: string[] | undefined;
  /** Called on an intent; by default the agent reports its VM as wanted. */
  onIntent: (intent: Intent) => void = (intent) => this.follow(intent);
  /** Called on an assignment; by default the VM runs at once. */
  onAssign: (assignment: Assignment) => void = (assignment) => this.run(assignment);
  onRelease: (uid: string) => void = (uid) => this.remove(uid);
  /** Called after each message was followed. */
  onReceive: (message: Heard) => void = () => undefined;
  #channel: Channel<Heard, MessageOfAgents> | undefined;

  async connect(port: number, token: string, host: HostFacts = someHost): Promise<void> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${agentsPath}`, [subprotocol], {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    this.attach(socket);
    this.hello(host);
  }

  /** Takes over an open socket. */
  attach(socket: WebSocket): void {
    this.#channel = new Channel<Heard, MessageOfAgents>(socket, {
      schema: heard,
      clock: systemClock,
      heartbeat: 'watcher',
      heartbeatSeconds: 10,
      onMessage: (message) => this.#receive(message),
    });
  }

  hello(host: HostFacts = someHost, capabilities = this.capabilities): void {
    this.send({
      type: 'hello',
      protocolVersions: [subprotocol],
      agentVersion: 'scripted',
      bootID: '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f',
      ...(this.lastEpoch !== undefined && { lastEpoch: this.lastEpoch }),
      host,
      virtualMachines: [...this.machines.values()],
      complete: true,
      last: true,
      ...(capabilities && { capabilities }),
    });
  }

  get closed(): Promise<ChannelClosed> {
    if (this.#channel === undefined) throw new Error('not connected');
    return this.#channel.closed;
  }

  get isOpen(): boolean {
    return this.#channel?.open ?? false;
  }

  async disconnect(): Promise<void> {
    this.#channel?.close(1000, 'bye');
    await this.closed;
  }

  send(message: MessageOfAgents): void {
    this.#channel?.send(message);
  }

  run({ uid, generation, optionsDigest, restartedAt, sourceDigest }: Assignment): void {
    const told = { generation, optionsDigest, wantedDigest: optionsDigest };
    const more = { ...(sourceDigest && { sourceDigest }), ...(restartedAt && { restartedAt }) };
    this.observe(observedMachine(uid, { ...told, ...more }));
  }

  /** Keeps the options that the VM has. */
  follow({ uid, generation, runStrategy }: Intent): void {
    const known = this.machines.get(uid) ?? observedMachine(uid, halted);
    this.observe({ ...known, generation, ...(runStrategy === 'Halted' && halted) });
  }

  observe(machine: ObservedVirtualMachine): void {
    this.machines.set(machine.uid, machine);
    this.send({ type: 'observed', virtualMachine: machine });
  }

  remove(uid: string): void {
    this.machines.delete(uid);
    this.assignments.delete(uid);
    this.send({ type: 'removed', uid });
  }

  receivedOf<T extends Heard['type']>(type: T): Extract<Heard, { type: T }>[] {
    return this.received.filter((message): message is Extract<Heard, { type: T }> => message.type === type);
  }

  #receive(message: Heard): void {
    this.received.push(message);
    if (message.type === 'welcome') this.#channel?.setHeartbeat(message.heartbeatSeconds);
    if (message.type === 'desired') for (const element of message.virtualMachines) this.#assign(element);
    if (message.type === 'assign') this.#assign(message.virtualMachine);
    if (message.type === 'intent') this.#intend(message.virtualMachine);
    if (message.type === 'release') this.onRelease(message.uid);
    this.onReceive(message);
  }

  #intend(element: { uid: string }): void {
    const parsed = parseIntent(element);
    if (!parsed.ok) throw new Error(parsed.failure.message);
    this.intents.set(element.uid, parsed.value);
    this.onIntent(parsed.value);
  }

  #assign(element: { uid: string }): void {
    const parsed = parseAssignment(element);
    if (!parsed.ok) throw new Error(parsed.failure.message);
    const before = this.assignments.get(element.uid);
    this.assignments.set(element.uid, parsed.value);
    const known = this.machines.get(element.uid);
    const sameAsKnown =
      known?.wantedDigest === parsed.value.optionsDigest && known.generation === parsed.value.generation;
    const isNewer = before?.generation !== parsed.value.generation && !sameAsKnown;
    const isToldOtherwise =
      before !== undefined &&
      (before.runStrategy !== parsed.value.runStrategy || before.restartedAt !== parsed.value.restartedAt);
    if (isNewer || isToldOtherwise) this.onAssign(parsed.value);
  }
}
