// The sessions of all agents: one for each node; a newer one replaces the older. Commands go to the current session.
import type { Intent } from '../../protocol/intent.ts';
import { type Assignment, closeCodes } from '../../protocol/messages.ts';
import type { Agents, DesiredMachine } from '../controller/instructions/agents.ts';
import type { AgentSession } from './session.ts';
import type { SessionEvents } from './session-ports.ts';

export interface SessionListener {
  /** The session is live: changes that happened meanwhile can be sent. */
  live(nodeName: string): void;
  /** The node has no session any more. */
  ended(nodeName: string): void;
}

export class Sessions implements Agents, SessionEvents {
  readonly #current = new Map<string, AgentSession>();
  /** By node, in the order in which the sessions began, accepted or not. The server bounds them. */
  readonly #open = new Map<string, Set<AgentSession>>();
  readonly #listener: SessionListener;
  readonly #mayCommand: () => boolean;

  /**
   * `mayCommand`: whether this replica certainly leads. Commands that are suppressed now are sent when it leads again.
   */
  constructor(listener: SessionListener, mayCommand: () => boolean) {
    this.#listener = listener;
    this.#mayCommand = mayCommand;
  }

  get count(): number {
    return this.#current.size;
  }

  /** The session that speaks for the node, if any. */
  of(nodeName: string): AgentSession | undefined {
    return this.#current.get(nodeName);
  }

  began(session: AgentSession): void {
    const open = this.#open.get(session.nodeName);
    if (open === undefined) this.#open.set(session.nodeName, new Set([session]));
    else open.add(session);
  }

  /**
   * All older sessions of the node give way, even one that still waits for acceptance: its reports may be long outdated.
   */
  accepted(session: AgentSession): void {
    this.#current.set(session.nodeName, session);
    for (const older of this.#open.get(session.nodeName) ?? []) {
      if (older === session) return;
      older.giveWayTo(session);
    }
  }

  live(session: AgentSession): void {
    if (this.#current.get(session.nodeName) === session) this.#listener.live(session.nodeName);
  }

  ended(session: AgentSession): void {
    const open = this.#open.get(session.nodeName);
    open?.delete(session);
    if (open?.size === 0) this.#open.delete(session.nodeName);
    if (this.#current.get(session.nodeName) !== session) return;
    this.#current.delete(session.nodeName);
    this.#listener.ended(session.nodeName);
  }

  assign(nodeName: string, desired: DesiredMachine): void {
    if (this.#mayCommand()) this.#current.get(nodeName)?.assign(desired);
  }

  intend(nodeName: string, intent: Intent): void {
    if (this.#mayCommand()) this.#current.get(nodeName)?.intend(intent);
  }

  needsPolicy(nodeName: string, assignment: Assignment): boolean {
    return this.#current.get(nodeName)?.needsPolicy(assignment) ?? false;
  }

  release(nodeName: string, uid: string): void {
    if (this.#mayCommand()) this.#current.get(nodeName)?.release(uid);
  }

  hasReleased(nodeName: string, uid: string): boolean {
    return this.#current.get(nodeName)?.hasReleased(uid) ?? false;
  }

  /**
   * The Node of this name is a different one than before: a session of the former one speaks for a computer that is
   * gone.
   */
  nodeIs(nodeName: string, nodeUID: string): void {
    for (const session of this.#admitted(nodeName)) {
      if (session.nodeUID === undefined || session.nodeUID === nodeUID) continue;
      session.close(closeCodes.unauthorized, `the token is of an earlier Node ${nodeName}`);
    }
  }

  surrender(nodeName: string): void {
    for (const session of this.#admitted(nodeName))
      session.close(closeCodes.shuttingDown, 'another replica has a newer session of this node');
  }

  /** The session that speaks for the node, and earlier ones whose streams are still open. */
  #admitted(nodeName: string): readonly AgentSession[] {
    const current = this.#current.get(nodeName);
    return [...(this.#open.get(nodeName) ?? [])].filter((each) => each === current || each.isLeaving);
  }
}
