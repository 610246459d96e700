// A server for agents with sessions of its own, and what tests say to it.
import { Readable } from 'node:stream';
import { pino } from 'pino';
import type { AgentAuthenticator } from '../../../operator/agents/authentication.ts';
import { AgentDoor } from '../../../operator/agents/door.ts';
import type { MessageLimit } from '../../../operator/agents/peer.ts';
import { AgentServer } from '../../../operator/agents/server.ts';
import type { SessionPorts } from '../../../operator/agents/session-ports.ts';
import { Sessions } from '../../../operator/agents/sessions.ts';
import type { Acceptance } from '../../../operator/controller/hosts.ts';
import type { DesiredMachine, Told } from '../../../operator/controller/instructions/agents.ts';
import { desiredMachine } from '../../../operator/controller/instructions/assignment.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { digestsOf } from '../../../operator/kubernetes/objects.ts';
import { type Hello, type ObservedVirtualMachine, subprotocol } from '../../../protocol/messages.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { until } from './fixture.ts';
import { makeMachine, someUid } from './objects.ts';
import { ScriptedAgent, someHost } from './scripted-agent.ts';

export class Harness {
  readonly inventory = new Inventory(systemClock);
  readonly events: string[] = [];
  readonly misbehaviour: string[] = [];
  readonly sessions: Sessions;
  readonly door: AgentDoor;
  readonly server: AgentServer;
  desired: readonly Told[] = [];
  accept: () => Promise<Acceptance> = () => Promise.resolve({ ok: true, epoch: 7 });
  leads = true;
  port = 0;

  constructor(authenticator: AgentAuthenticator, tls = false, messages?: MessageLimit) {
    this.sessions = new Sessions(
      {
        live: (nodeName) => this.events.push(`live ${nodeName}`),
        ended: (nodeName) => this.events.push(`ended ${nodeName}`),
      },
      () => this.leads,
    );
    const ports: SessionPorts = {
      clock: systemClock,
      logger: pino({ level: 'silent' }),
      observer: {
        received: () => {},
        sent: () => {},
        misbehaved: (what) => this.misbehaviour.push(what),
      },
      inventory: this.inventory,
      replica: 'replica-1',
      heartbeatSeconds: 10,
      accept: () => this.accept(),
      networks: (nodeName, { networks }) => this.events.push(`networks ${nodeName} ${networks.length}`),
      desired: () => Readable.from(this.desired),
    };
    this.door = new AgentDoor({
      clock: systemClock,
      logger: ports.logger,
      service: () => (this.leads ? { ports, sessions: this.sessions } : undefined),
      authenticator,
      ...(messages && { messages }),
    });
    this.server = new AgentServer({
      clock: systemClock,
      logger: ports.logger,
      door: this.door,
      tls,
      bindAddress: '127.0.0.1',
      port: 0,
    });
  }

  async start(): Promise<void> {
    this.port = (await this.server.listen()).port;
  }

  async connect(nodeName = 'node-a'): Promise<ScriptedAgent> {
    const agent = new ScriptedAgent();
    await agent.connect(this.port, nodeName);
    return agent;
  }

  async connectLive(): Promise<ScriptedAgent> {
    const agent = await this.connect();
    await until(() => agent.receivedOf('desired').some(({ last }) => last));
    return agent;
  }
}

export const tokensAreNames: AgentAuthenticator = {
  authenticate: (bearer) =>
    Promise.resolve(
      bearer === 'bad'
        ? { ok: false, retry: false, message: 'unknown' }
        : { ok: true, nodeName: bearer, nodeUID: `uid-of-${bearer}` },
    ),
};

export function desiredFor(uid: string, securityPolicy?: string, disks = 0): DesiredMachine {
  const confidential =
    securityPolicy === undefined ? {} : { confidential: { securityPolicy, isolation: 'None' as const } };
  const object = makeMachine({
    metadata: { uid, name: `vm-${uid.slice(-4)}` },
    spec: {
      ...confidential,
      storage: {
        disks: Array.from({ length: disks }, (_, index) => ({
          name: `disk-${index}`,
          path: `C:\\${'x'.repeat(1_000)}`,
        })),
      },
    },
  });
  if (!object.spec.ok) throw new Error(object.spec.message);
  const { confidential: _, ...spec } = object.spec.value;
  const digests = securityPolicy === undefined ? undefined : digestsOf(object.spec.value, securityPolicy);
  return { ...desiredMachine(object, spec, digests), policy: securityPolicy };
}

export const uidOf = (index: number) => `6a3f2c1e-0b7d-4c55-9a51-${String(index).padStart(12, '0')}`;

export function hello(virtualMachines: ObservedVirtualMachine[], changes: Partial<Hello> = {}): Hello {
  return {
    type: 'hello',
    protocolVersions: [subprotocol],
    agentVersion: 'x',
    bootID: someUid,
    host: someHost,
    complete: true,
    virtualMachines,
    last: true,
    ...changes,
  };
}
