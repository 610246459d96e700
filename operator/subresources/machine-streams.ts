// Finds the agent of a VM and opens a stream to it, or explains to the user why that is not possible.

import { forwardLimits, neededCapability } from '../../protocol/streams/messages.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import type { AgentSession } from '../agents/session.ts';
import type { AgentStream, StreamRequest } from '../agents/session-streams.ts';
import { objectKey, type VirtualMachine } from '../kubernetes/objects.ts';
import { ForwardShares } from './forward-shares.ts';
import { notFound, type Refusal, refusalOf, unavailable } from './refusal.ts';
import type { RemoteUser } from './remote-user.ts';
import type { MachineRequest, Read } from './request.ts';
import type { StreamCounts } from './stream-counts.ts';
import { type StreamShare, StreamShares } from './stream-shares.ts';

export interface MachineStreamsPorts {
  readonly clock: Clock;
  /** Looks up by `namespace/name`. */
  readonly machine: (key: string) => VirtualMachine | undefined;
  /** The session of the node's agent; undefined if this replica has none. */
  readonly session: (nodeName: string) => AgentSession | undefined;
  readonly counts: StreamCounts;
}

/** Time for the agent to begin to serve the stream. A process in a guest connects its streams first. */
const beginningMilliseconds = 20_000;

export interface BegunStream {
  readonly stream: AgentStream;
  readonly processID: number | undefined;
}

export class MachineStreams {
  readonly #ports: MachineStreamsPorts;
  readonly #shares = new StreamShares();
  readonly #forwards = new ForwardShares();

  constructor(ports: MachineStreamsPorts) {
    this.#ports = ports;
  }

  uidOf({ name, namespace }: MachineRequest): string | undefined {
    return this.#ports.machine(objectKey({ name, namespace }))?.metadata.uid;
  }

  /** Resolves once the agent serves the stream. */
  async begin(user: RemoteUser, request: MachineRequest, wanted: StreamRequest): Promise<Read<BegunStream>> {
    const begun = await this.#begin(user, request, wanted);
    if (!begun.ok) this.refused(begun.refusal);
    return begun;
  }

  /** Counts a refused request. */
  refused({ reason }: Refusal): void {
    this.#ports.counts.refusedFor(reason);
  }

  async #begin(user: RemoteUser, request: MachineRequest, wanted: StreamRequest): Promise<Read<BegunStream>> {
    const { counts } = this.#ports;
    const session = this.#sessionFor(request);
    if ('refusal' in session) return { ok: false, refusal: session.refusal };
    if (!session.session.hasCapability(neededCapability(wanted.type))) {
      return { ok: false, refusal: olderAgent(session.session.nodeName, request.subresource) };
    }
    const isForward = wanted.type === 'portForward';
    const problem = isForward ? 'TooManyConnections' : 'TooManyStreams';
    const share = isForward
      ? this.#forwards.take(request.namespace, session.session.nodeName, user.username)
      : this.#shares.take(request.namespace, session.session.nodeName);
    if (!('release' in share)) return refused(problem, tooMany(share.of, isForward));
    const stream = session.session.openStream(wanted);
    if (stream === undefined) {
      share.release();
      return refused(problem, `too many ${nounOf(isForward)} of this VM or its host are open`);
    }
    counts.opened(stream, wanted);
    stream.ending.then(() => {
      share.release();
      counts.ended(stream);
    });
    const begun = new AbortController();
    const tooLate = delay(this.#ports.clock, beginningMilliseconds, begun.signal).then(
      () => noAnswer,
      () => noAnswer,
    );
    const beginning = await Promise.race([stream.beginning, tooLate]);
    begun.abort();
    if (beginning.ok) return { ok: true, value: { stream, processID: beginning.processID } };
    stream.close();
    return refused(beginning.problem, beginning.message);
  }

  #sessionFor({ name, namespace }: MachineRequest): { readonly session: AgentSession } | { readonly refusal: Refusal } {
    const machine = this.#ports.machine(objectKey({ name, namespace }));
    if (machine === undefined) return { refusal: notFound(`linuxutilityvms.lcow.dev "${name}" not found`) };
    const { nodeName } = machine.status;
    if (nodeName === undefined) return { refusal: refusalOf('NotRunning', 'the VM has no host yet') };
    const session = this.#ports.session(nodeName);
    if (session === undefined || session.streams === 'NotYet') {
      return { refusal: unavailable(`the agent of ${nodeName} is not connected to the operator`) };
    }
    if (session.streams === 'Unsupported') {
      return { refusal: olderAgent(nodeName, 'streams') };
    }
    return { session };
  }
}

function olderAgent(nodeName: string, what: string): Refusal {
  const message = `the agent of ${nodeName} is of an earlier version, which has no ${what}: upgrade it`;
  return { code: 501, reason: 'NotImplemented', message };
}

function nounOf(isForward: boolean): string {
  return isForward ? 'forwarded connections' : 'streams';
}

function tooMany(of: Extract<StreamShare, { of: string }>['of'], isForward: boolean): string {
  const noun = nounOf(isForward);
  switch (of) {
    case 'all':
      return `this namespace already uses its share of the ${noun} that the operator serves`;
    case 'host':
      return `this namespace already uses its share of the ${noun} of the host`;
    case 'user':
      return `this user already has ${forwardLimits.perUser} ${noun}`;
  }
}

const noAnswer = { ok: false, problem: 'Failed', message: 'the agent did not answer in time' } as const;

function refused(problem: string, message: string): Read<never> {
  return { ok: false, refusal: refusalOf(problem, message) };
}
