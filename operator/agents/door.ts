// Where agents come in, whatever carries their connections: judges an agent's token, bounds the connections of each
// node, and begins a session when its turn has come. A peer without an agent's token occupies no memory.
import type { Logger } from 'pino';
import { Channel } from '../../protocol/channel.ts';
import { type MessageOfAgents, type MessageToAgents, messageOfAgents } from '../../protocol/earlier-agents.ts';
import { closeCodes } from '../../protocol/messages.ts';
import { openState, type Socket } from '../../protocol/socket.ts';
import type { Clock } from '../../runtime/clock.ts';
import { type AdmissionBounds, AdmissionLine, type Turn } from './admission-line.ts';
import type { AgentAuthenticator } from './authentication.ts';
import { type MessageLimit, Peer, Peers } from './peer.ts';
import { RefusalLog } from './refusal-log.ts';
import { AgentSession } from './session.ts';
import type { AgentIdentity, SessionEvents, SessionPorts } from './session-ports.ts';
import type { Sessions } from './sessions.ts';
import { WaitingConnection } from './waiting-connection.ts';

/** What the leading replica offers to agents. */
export interface AgentService {
  readonly ports: SessionPorts;
  readonly sessions: Sessions;
}

export interface AgentDoorOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Undefined while this replica does not lead. Agents are then asked to come again, and reach another replica. */
  readonly service: () => AgentService | undefined;
  readonly authenticator: AgentAuthenticator;
  /** How much one agent may send before it is delayed. */
  readonly messages?: MessageLimit;
  readonly admission?: AdmissionBounds;
}

/** An agent that asks to come in. */
export interface Caller {
  readonly bearer: string | undefined;
  /** Where it comes from (`peerAddress`). */
  readonly address: string;
}

export type Answer =
  /** An HTTP status: 401 for a refused token, 429 for too many connections, 503 when another replica may answer. */
  | { readonly kind: 'Refused'; readonly status: number }
  /** `enter` takes the open socket before its first frame can have arrived. */
  | { readonly kind: 'Admitted'; enter(socket: Socket): void };

const dismissMilliseconds = 1_000;
const bounds = {
  /** Connections of agents that have presented a token: 5,000 agents, each during a renewal, plus half-open ones. */
  sessions: 12_000,
  /** Connections of one node: the session, its renewal, and what a network left half open. */
  connectionsPerNode: 4,
} as const;

export class AgentDoor {
  readonly #options: AgentDoorOptions;
  readonly #refusals: RefusalLog;
  readonly #line: AdmissionLine;
  readonly #sockets = new Set<Socket>();
  /** Number of connections by node. */
  readonly #open = new Map<string, number>();
  readonly #peers: Peers;
  #isClosed = false;

  constructor(options: AgentDoorOptions) {
    const { clock, logger } = options;
    this.#options = options;
    this.#peers = new Peers(() => new Peer(clock, options.messages));
    this.#refusals = new RefusalLog(clock, logger);
    this.#line = new AdmissionLine(clock, options.admission);
  }

  async knock({ bearer, address }: Caller): Promise<Answer> {
    const { authenticator, service } = this.#options;
    if (this.#isClosed || service() === undefined) return refused(503);
    if (bearer === undefined) return refused(401);
    const authentication = await authenticator.authenticate(bearer, address);
    if (!authentication.ok) {
      this.#refusals.refused({ peer: address, error: authentication.message });
      return refused(authentication.retry ? 503 : 401);
    }
    const { nodeName } = authentication;
    const current = service();
    if (current === undefined) return refused(503);
    if (this.#isClosed || this.#sockets.size >= bounds.sessions) return refused(503);
    const peer = this.#admit(nodeName);
    if (peer === undefined) {
      current.ports.observer.misbehaved('too_many_connections');
      return refused(429);
    }
    return {
      kind: 'Admitted',
      enter: (socket) => {
        this.#count(nodeName, socket);
        void this.#queue(socket, authentication, peer, current);
      },
    };
  }

  /** Nobody is admitted any more, and everybody is asked to connect again. Their VMs do not notice. */
  close(): void {
    this.#isClosed = true;
    this.dismiss('the operator shuts down');
  }

  /** Asks every agent to connect again. */
  dismiss(why: string): void {
    for (const socket of this.#sockets) {
      socket.close(closeCodes.shuttingDown, why);
      this.#options.clock.after(dismissMilliseconds, () => socket.terminate());
    }
  }

  /** Disconnects everybody at once. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.terminate();
  }

  #admit(nodeName: string): Peer | undefined {
    const open = this.#open.get(nodeName) ?? 0;
    const peer = this.#peers.of(nodeName);
    return open < bounds.connectionsPerNode && peer.mayConnect() ? peer : undefined;
  }

  /** Reads the agent's messages once its turn has come. */
  async #queue(socket: Socket, agent: AgentIdentity, peer: Peer, service: AgentService): Promise<void> {
    const { clock, heartbeatSeconds } = service.ports;
    const waiting = new WaitingConnection(socket, clock, heartbeatSeconds);
    const closed = new Promise<void>((resolve) => socket.once('close', resolve));
    const turn = await this.#line.enter(agent.nodeName, closed);
    if (turn === undefined) return socket.terminate();
    // A connection that was dismissed while it waited has been told so.
    if (socket.readyState === openState) {
      const session = new AgentSession(agent, peer, service.ports, endingTurn(turn, service.sessions));
      const served = this.#serve(socket, session, peer, service);
      waiting.handOver();
      await served;
    }
    turn.end();
  }

  async #serve(socket: Socket, session: AgentSession, peer: Peer, { ports, sessions }: AgentService): Promise<void> {
    const { nodeName } = session;
    sessions.began(session);
    const channel = new Channel<MessageOfAgents, MessageToAgents>(socket, {
      schema: messageOfAgents,
      clock: ports.clock,
      heartbeat: 'pinger',
      heartbeatSeconds: ports.heartbeatSeconds,
      answersPings: true,
      onFrame: (kind, bytes) => peer.received(kind, bytes),
      onThrottled: () => session.misbehaved('too_many_messages'),
      onMalformed: () => session.malformed(),
      onMessage: (message) => session.receive(message),
      onBinary: (frame) => session.receiveBinary(frame),
    });
    ports.logger.info({ host: nodeName }, 'an agent connected');
    const closed = await session.run(channel);
    ports.logger.info({ host: nodeName, code: closed.code, reason: closed.reason }, 'an agent disconnected');
    sessions.ended(session);
  }

  #count(nodeName: string, socket: Socket): void {
    this.#sockets.add(socket);
    this.#open.set(nodeName, (this.#open.get(nodeName) ?? 0) + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const open = (this.#open.get(nodeName) ?? 0) - 1;
      if (open <= 0) this.#open.delete(nodeName);
      else this.#open.set(nodeName, open);
    });
  }
}

const refused = (status: number): Answer => ({ kind: 'Refused', status });

/** The next session begins as soon as this one is live. */
function endingTurn(turn: Turn, events: SessionEvents): SessionEvents {
  return {
    accepted: (session) => events.accepted(session),
    live: (session) => {
      turn.end();
      events.live(session);
    },
  };
}
