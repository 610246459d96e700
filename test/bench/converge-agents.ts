// Twenty agents without hosts. Each speaks the protocol over TLS, and reports the boots of its VMs as a real agent
// does: one report for each phase, from creation to running in 1 to 3 s.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type Assignment, agentsPath, type ObservedVirtualMachine, subprotocol } from '../../protocol/messages.ts';
import { systemClock } from '../../runtime/clock.ts';
import { observedMachine, ScriptedAgent, someHost } from '../support/operator/scripted-agent.ts';

/** In milliseconds. */
const boot = { shortest: 1_000, spread: 2_000 } as const;
/** `at` is a share of the whole boot time. */
const phases: readonly { readonly phase: ObservedVirtualMachine['phase']; readonly at: number }[] = [
  { phase: 'Staging', at: 0 },
  { phase: 'Creating', at: 0.1 },
  { phase: 'Starting', at: 0.3 },
];
const goldenRatio = 0.618_033_988_75;

export interface AgentsOptions {
  readonly port: number;
  readonly authority: string;
  /** The token of each node, by node name. */
  readonly tokens: ReadonlyMap<string, string>;
}

export class SimulatedAgents {
  readonly #agents: ScriptedAgent[] = [];
  #boots = 0;

  async connect({ port, authority, tokens }: AgentsOptions): Promise<void> {
    for (const token of tokens.values()) {
      const agent = new ScriptedAgent();
      agent.onAssign = (assignment) => this.#boot(agent, assignment);
      const socket = new WebSocket(`wss://127.0.0.1:${port}${agentsPath}`, [subprotocol], {
        ca: authority,
        headers: { authorization: `Bearer ${token}` },
        perMessageDeflate: false,
      });
      await once(socket, 'open');
      agent.attach(socket);
      agent.hello({ ...someHost, memoryInMB: 4 << 20 });
      this.#agents.push(agent);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#agents.map((agent) => agent.disconnect()));
  }

  #boot(agent: ScriptedAgent, assignment: Assignment): void {
    const { uid, generation, optionsDigest } = assignment;
    const told = { generation, optionsDigest, wantedDigest: optionsDigest };
    // The boot times are spread evenly, and equal in every run.
    this.#boots += 1;
    const lasts = boot.shortest + boot.spread * ((this.#boots * goldenRatio) % 1);
    for (const { phase, at } of phases) {
      systemClock.after(lasts * at, () => agent.observe(booting(uid, told, phase)));
    }
    systemClock.after(lasts, () => agent.observe(running(uid, told)));
  }
}

type Told = Pick<ObservedVirtualMachine, 'generation' | 'optionsDigest' | 'wantedDigest'>;

export function booting(uid: string, told: Told, phase: ObservedVirtualMachine['phase']): ObservedVirtualMachine {
  const ready = { type: 'Ready', status: 'False', reason: phase, message: 'on its way' } as const;
  const guestLog = { head: [], tail: [], total: 0, dropped: 0 };
  const { startTime, ...report } = observedMachine(uid, { ...told, phase, conditions: [ready], guestLog });
  return report;
}

/** A report as large as reports get in practice. */
export function running(uid: string, told: Told): ObservedVirtualMachine {
  const now = new Date().toISOString();
  const line = (index: number) => `${now} info eth0: link up, boot line ${index} of some eighty characters in all`;
  const lines = Array.from({ length: 20 }, (_, index) => line(index));
  return observedMachine(uid, {
    ...told,
    startTime: now,
    runtimeID: '8a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d',
    documentDigest: 'a'.repeat(64),
    processorCount: 2,
    memorySizeInMB: 512,
    guest: { osType: 'linux', protocolVersion: 4, capabilities: ['signalProcess', 'dumpStacks'] },
    guestLog: { head: lines.slice(0, 5), tail: lines.slice(5), total: 120, dropped: 0 },
    bootTimings: { prepared: now, created: now, started: now, guestConnected: now },
  });
}
