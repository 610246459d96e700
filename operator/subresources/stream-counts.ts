// Totals of the streams to VMs, for metrics: open, carried, refused. The channels count their bytes; the totals are
// computed on request.
import { streamProblems } from '../../protocol/streams/messages.ts';
import type { AgentStream, StreamRequest } from '../agents/session-streams.ts';

export const streamKinds = ['log', 'exec', 'console', 'document', 'stacks', 'usage', 'portforward'] as const;
export type StreamKind = (typeof streamKinds)[number];

export interface CarriedBytes {
  /** From the VM to the user. */
  readonly received: number;
  /** From the user to the VM. */
  readonly sent: number;
}

/** Reasons of our own. An agent's reason is counted only if it is known, so that no agent can invent metrics. */
const ownReasons = ['NotFound', 'ServiceUnavailable', 'NotImplemented', 'Forbidden', 'TooManyRequests'] as const;
const knownReasons: ReadonlySet<string> = new Set([...streamProblems, ...ownReasons]);

export class StreamCounts {
  readonly #open = new Map<AgentStream, StreamKind>();
  /** Bytes of streams that have ended. */
  readonly #former = new Map<StreamKind, CarriedBytes>();
  readonly #refused = new Map<string, number>();

  opened(stream: AgentStream, { type }: StreamRequest): void {
    this.#open.set(stream, kindOf(type));
  }

  ended(stream: AgentStream): void {
    const kind = this.#open.get(stream);
    if (kind === undefined) return;
    this.#open.delete(stream);
    this.#former.set(kind, sumOf([this.#formerOf(kind), carriedBy(stream)]));
  }

  refusedFor(reason: string): void {
    const label = knownReasons.has(reason) ? reason : 'Other';
    this.#refused.set(label, (this.#refused.get(label) ?? 0) + 1);
  }

  get size(): number {
    return this.#open.size;
  }

  openOf(kind: StreamKind): number {
    return this.#streamsOf(kind).length;
  }

  bytesOf(kind: StreamKind): CarriedBytes {
    return sumOf([this.#formerOf(kind), ...this.#streamsOf(kind).map(carriedBy)]);
  }

  /** Number of refused streams by reason. */
  get refused(): ReadonlyMap<string, number> {
    return this.#refused;
  }

  #streamsOf(kind: StreamKind): AgentStream[] {
    return [...this.#open].flatMap(([stream, each]) => (each === kind ? [stream] : []));
  }

  #formerOf(kind: StreamKind): CarriedBytes {
    return this.#former.get(kind) ?? { received: 0, sent: 0 };
  }
}

function kindOf(type: StreamRequest['type']): StreamKind {
  switch (type) {
    case 'logFollow':
      return 'log';
    case 'portForward':
      return 'portforward';
    default:
      return type;
  }
}

function carriedBy({ stderr, stdin, stdout }: AgentStream): CarriedBytes {
  return { received: stdout.carried + stderr.carried, sent: stdin.carried };
}

function sumOf(all: readonly CarriedBytes[]): CarriedBytes {
  return all.reduce((sum, each) => ({ received: sum.received + each.received, sent: sum.sent + each.sent }));
}
