// The agents' end of an operator, without the rest of it: sessions over real WebSockets, and their effects.
import { Readable } from 'node:stream';
import { pino } from 'pino';
import { AgentDoor } from '../../../operator/agents/door.ts';
import type { MessageLimit } from '../../../operator/agents/peer.ts';
import { AgentServer } from '../../../operator/agents/server.ts';
import type { SessionPorts } from '../../../operator/agents/session-ports.ts';
import { Sessions } from '../../../operator/agents/sessions.ts';
import type { DesiredMachine } from '../../../operator/controller/instructions/agents.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { until } from './fixture.ts';
import { ScriptedAgent } from './scripted-agent.ts';

export interface BedSettings {
  readonly messages?: MessageLimit;
  readonly clock?: Clock;
}

export class AgentBed implements AsyncDisposable {
  readonly inventory = new Inventory(systemClock);
  readonly misbehaviour: string[] = [];
  readonly sessions: Sessions;
  readonly #server: AgentServer;
  desired: readonly DesiredMachine[] = [];
  port = 0;

  static async start(settings: BedSettings = {}): Promise<AgentBed> {
    const bed = new AgentBed(settings);
    bed.port = (await bed.#server.listen()).port;
    return bed;
  }

  private constructor({ clock = systemClock, messages }: BedSettings) {
    const ended = (nodeName: string) => this.inventory.end(nodeName, () => false);
    this.sessions = new Sessions({ live: () => {}, ended }, () => true);
    const ports: SessionPorts = {
      clock,
      logger: pino({ level: 'silent' }),
      observer: {
        received: () => {},
        sent: () => {},
        misbehaved: (what) => this.misbehaviour.push(what),
      },
      inventory: this.inventory,
      replica: 'replica-1',
      heartbeatSeconds: 10,
      accept: () => Promise.resolve({ ok: true, epoch: 1 }),
      networks: () => {},
      desired: () => Readable.from(this.desired),
    };
    this.#server = new AgentServer({
      clock,
      logger: ports.logger,
      door: new AgentDoor({
        clock,
        logger: ports.logger,
        service: () => ({ ports, sessions: this.sessions }),
        authenticator: { authenticate: (bearer) => Promise.resolve({ ok: true, nodeName: bearer }) },
        ...(messages && { messages }),
      }),
      tls: false,
      bindAddress: '127.0.0.1',
      port: 0,
    });
  }

  /** Does not wait for the welcome. */
  async connect(nodeName: string, hello?: (agent: ScriptedAgent) => void): Promise<ScriptedAgent> {
    const agent = new ScriptedAgent();
    if (hello !== undefined) agent.hello = () => hello(agent);
    await agent.connect(this.port, nodeName);
    return agent;
  }

  async connectLive(nodeName: string): Promise<ScriptedAgent> {
    const agent = await this.connect(nodeName);
    await until(() => agent.receivedOf('desired').some(({ last }) => last));
    return agent;
  }

  /** Size as JSON of the reports of a host that the inventory keeps. */
  keptBytes(nodeName: string): number {
    const reports = [...this.inventory.reportedOn(nodeName).values()];
    return reports.reduce((sum, { observed }) => sum + Buffer.byteLength(JSON.stringify(observed ?? null)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
  }
}
