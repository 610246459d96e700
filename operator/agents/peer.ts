// What one node may ask of the operator, over all its sessions and connections (docs/design.md §10): a new session does
// not refill any allowance. Too many messages are delayed. Misbehaviour excludes the node for a while, longer each
// time.

import type { FrameKind } from '../../protocol/channel.ts';
import { Allowance } from '../../runtime/allowance.ts';
import type { Clock } from '../../runtime/clock.ts';

export interface MessageLimit {
  readonly perSecond: number;
  readonly burst: number;
}

export const peerLimits = {
  messages: { perSecond: 2_000, burst: 8_192 },
  /** For messages. A host with 4,096 VMs and the longest logs sends all of this at once. */
  textBytes: { perSecond: 4 << 20, burst: 96 << 20 },
  /** For stream data, which has separate budgets: more than anybody needs to follow a log. */
  binaryBytes: { perSecond: 128 << 20, burst: 128 << 20 },
  /** Connections with a valid token, accepted or not. */
  connections: { perSecond: 1, burst: 30 },
  /** Accepted sessions. */
  sessions: { perSecond: 6 / 60, burst: 12 },
  /** Log lines about an agent's misbehaviour. The counters include all of it. */
  logLines: { perSecond: 0.1, burst: 10 },
  firstDelayMilliseconds: 1_000,
  lastDelayMilliseconds: 5 * 60_000,
  /** After this much good behaviour, one misbehaviour is forgotten. */
  forgivenMilliseconds: 2 * 60_000,
} as const;

export class Peer {
  readonly #clock: Clock;
  readonly #messages: Allowance;
  readonly #textBytes: Allowance;
  readonly #binaryBytes: Allowance;
  readonly #connections: Allowance;
  readonly #sessions: Allowance;
  readonly #logLines: Allowance;
  #strikes = 0;
  #keptOutUntil = 0;

  constructor(clock: Clock, messages: MessageLimit = peerLimits.messages) {
    const allowance = ({ perSecond, burst }: MessageLimit) => new Allowance(clock, perSecond, burst);
    this.#clock = clock;
    this.#messages = allowance(messages);
    this.#textBytes = allowance(peerLimits.textBytes);
    this.#binaryBytes = allowance(peerLimits.binaryBytes);
    this.#connections = allowance(peerLimits.connections);
    this.#sessions = allowance(peerLimits.sessions);
    this.#logLines = allowance(peerLimits.logLines);
  }

  /** Returns for how many milliseconds nothing more is read from the node. */
  received(kind: FrameKind, bytes: number): number {
    const byBytes = kind === 'binary' ? this.#binaryBytes.take(bytes) : this.#textBytes.take(bytes);
    return Math.max(this.#messages.take(), byBytes);
  }

  mayConnect(): boolean {
    const now = this.#clock.now();
    // A clock that was set back must not exclude anybody for longer than intended.
    const left = Math.min(this.#keptOutUntil - now, this.#delay);
    return left <= 0 && this.#connections.tryTake();
  }

  mayBeginSession(): boolean {
    return this.#sessions.tryTake();
  }

  /** Whether another log line about the node is allowed. */
  mayTell(): boolean {
    return this.#logLines.tryTake();
  }

  /** The node violated a rule that every agent keeps: its next connections are refused for a while. */
  keepOut(): void {
    const now = this.#clock.now();
    this.#strikes = this.#strikesNow(now) + 1;
    this.#keptOutUntil = now + this.#delay;
  }

  /** True when nothing about the node needs to be remembered. */
  get isRested(): boolean {
    const allowances = [this.#messages, this.#textBytes, this.#connections, this.#sessions, this.#logLines];
    return allowances.every(({ isFull }) => isFull) && this.#strikesNow(this.#clock.now()) === 0;
  }

  get #delay(): number {
    const { firstDelayMilliseconds, lastDelayMilliseconds } = peerLimits;
    return Math.min(lastDelayMilliseconds, firstDelayMilliseconds * 2 ** Math.max(0, this.#strikes - 1));
  }

  #strikesNow(now: number): number {
    const forgiven = Math.floor(Math.max(0, now - this.#keptOutUntil) / peerLimits.forgivenMilliseconds);
    return Math.max(0, this.#strikes - forgiven);
  }
}

const mostPeers = 10_000;
/** How many nodes are examined to find one to forget. */
const candidates = 64;

/** By node. Nodes that have been quiet are forgotten first. */
export class Peers {
  readonly #create: () => Peer;
  readonly #byNode = new Map<string, Peer>();

  constructor(create: () => Peer) {
    this.#create = create;
  }

  of(nodeName: string): Peer {
    const peer = this.#byNode.get(nodeName) ?? this.#create();
    this.#byNode.delete(nodeName);
    this.#byNode.set(nodeName, peer);
    if (this.#byNode.size > mostPeers) this.#forgetOne();
    return peer;
  }

  #forgetOne(): void {
    const oldest = this.#byNode.entries().take(candidates).toArray();
    const [nodeName] = oldest.find(([, { isRested }]) => isRested) ?? oldest[0] ?? [];
    if (nodeName !== undefined) this.#byNode.delete(nodeName);
  }
}
