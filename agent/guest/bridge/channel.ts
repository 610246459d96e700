// One connection of the guest bridge (hcs-runtime E.1 to E.5): requests over one stream, answered by id in any order.
// bridge.ts has the content of the requests.
//
//   open ──► (requests, responses, late answers) ──► closed
//
// `closed` is the only other state. E.5 lists what ends a bridge: the stream's end or error, a bad size, an unknown
// kind, a second answer, an undecodable answer, a notification that is not about a container of ours, a request that
// overran its limit, `close`. The end fails all outstanding requests and affects no other bridge. It does not stop the
// VM: the caller decides about that.
// Unlike the original, this host tolerates answers to requests of an earlier connection (E.7), even of an earlier
// process whose ids may have been higher. Answers to ids that this connection never used are counted. Only a second
// answer ends the bridge.
import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import { beginning } from '../../../runtime/beginning.ts';
import type { Clock, Timer } from '../../../runtime/clock.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import { BridgeClosedError, type BridgeEnd, GuestProtocolError, GuestRefusal, GuestUnansweredError } from './errors.ts';
import { encodeFrame, type Frame, FrameReader, frameKind, frameKinds, responseType } from './frames.ts';
import { containerExited, exitNotification, type RequestName, requests, responseBase } from './messages.ts';

export interface BridgeOptions {
  readonly clock: Clock;
  /**
   * The first request id. The guest must hold no answer to this or a later id, so it is the last connection's `nextId`
   * or a fresh high number.
   */
  readonly firstId: bigint;
  /** The longest time for one request before the bridge is given up. Absent: the original's limit. */
  readonly requestMilliseconds?: number;
  /** Receives answers to requests of an earlier connection; `body` is undefined when the answer is not JSON. */
  readonly onLateAnswer?: (id: bigint, body: unknown) => void;
}

export interface RequestLimits {
  /** Lets the caller give up; only for requests where that is harmless. */
  readonly signal?: AbortSignal | undefined;
  /** The request has no time limit. */
  readonly isUnlimited?: boolean;
  /**
   * How many milliseconds the caller waits before `GuestUnansweredError`. The bridge stays: a guest that waits for a
   * device answers that request only once the device exists, and answers all others without delay.
   */
  readonly patience?: number | undefined;
}

export interface Asked<T> {
  readonly id: bigint;
  readonly answer: Promise<T>;
}

/** Requests without an answer, including those that the caller gave up. */
const maxOutstanding = 1024;
/**
 * Most answers to requests of earlier connections: as many as those can have outstanding. Their bytes are bounded, too.
 */
const maxLateAnswers = maxOutstanding;
const maxLateBytes = 1 << 20;
/** Bytes that the guest has not read yet. */
const maxUnsentBytes = 8 << 20;

interface Outstanding {
  readonly type: number;
  /** Absent after the caller gave up. */
  readonly settle: ((outcome: Outcome) => void) | undefined;
  readonly timer: Timer | undefined;
}

type Outcome = { readonly kind: 'answer'; readonly body: unknown } | { readonly kind: 'error'; readonly error: Error };

export class BridgeChannel {
  readonly closed: Promise<BridgeEnd>;
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #requestMilliseconds: number;
  readonly #firstId: bigint;
  readonly #onLateAnswer: BridgeOptions['onLateAnswer'];
  readonly #reader = new FrameReader();
  readonly #outstanding = new Map<bigint, Outstanding>();
  readonly #settleClosed: (end: BridgeEnd) => void;
  #nextId: bigint;
  #lateAnswers = 0;
  #lateBytes = 0;
  #end: BridgeEnd | undefined;

  /** Takes ownership of the stream. */
  constructor(stream: Duplex, options: BridgeOptions) {
    this.#stream = stream;
    this.#clock = options.clock;
    this.#firstId = options.firstId;
    this.#onLateAnswer = options.onLateAnswer;
    this.#nextId = options.firstId;
    this.#requestMilliseconds = options.requestMilliseconds ?? fixedTimes.guest.request;
    const { promise, resolve } = Promise.withResolvers<BridgeEnd>();
    this.closed = promise;
    this.#settleClosed = resolve;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('end', () => this.#fail('bridge read failed: header read: EOF'));
    stream.on('error', (error) => this.#fail(`bridge failed: ${error.message}`));
    stream.on('close', () => this.#fail('bridge read failed: the connection was closed'));
  }

  /** The first request id for a later connection to the same guest. */
  get nextId(): bigint {
    return this.#nextId;
  }

  /** Number of answers to requests of earlier connections. */
  get lateAnswers(): number {
    return this.#lateAnswers;
  }

  close(): void {
    this.#die({ kind: 'local' });
  }

  /** Returns the id with which the request was sent, if it was sent. */
  ask<T>(name: RequestName, payload: string, schema: z.ZodType<T>, limits: RequestLimits = {}): Asked<T> {
    const id = this.#nextId;
    return { id, answer: this.#read(name, this.#send(name, payload, limits), schema) };
  }

  async #read<T>(name: RequestName, sent: Promise<unknown>, schema: z.ZodType<T>): Promise<T> {
    const answer = await sent;
    const base = responseBase.safeParse(answer);
    if (base.success && base.data.Result !== 0) throw new GuestRefusal(base.data.Result, base.data.ErrorMessage ?? '');
    const parsed = schema.safeParse(answer);
    if (base.success && parsed.success) return parsed.data;
    this.#fail(`undecodable response to ${name}`);
    throw new GuestProtocolError(`undecodable response to ${name}`);
  }

  #send(name: RequestName, payload: string, { signal, isUnlimited, patience }: RequestLimits): Promise<unknown> {
    if (this.#end !== undefined) return Promise.reject(new BridgeClosedError(this.#end));
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    if (this.#outstanding.size >= maxOutstanding || this.#stream.writableLength > maxUnsentBytes) {
      return Promise.reject(new GuestProtocolError('the guest leaves too many requests unanswered'));
    }
    const id = this.#nextId;
    this.#nextId += 1n;
    const { type, cancellable } = requests[name];
    return new Promise((resolve, reject) => {
      const onAbort = () => this.#giveUp(id, signal?.reason);
      const settle = (outcome: Outcome) => {
        signal?.removeEventListener('abort', onAbort);
        if (outcome.kind === 'answer') resolve(outcome.body);
        else reject(outcome.error);
      };
      const overdue = () => {
        if (patience === undefined) this.#fail(`message timeout: ${name}`);
        else this.#giveUp(id, new GuestUnansweredError(`${name} is not answered within ${patience / 1000} s`));
      };
      const limit = patience ?? this.#requestMilliseconds;
      const timer = isUnlimited === true ? undefined : this.#clock.after(limit, overdue);
      this.#outstanding.set(id, { type, settle, timer });
      if (cancellable) signal?.addEventListener('abort', onAbort, { once: true });
      this.#stream.write(encodeFrame(type, id, payload));
    });
  }

  /** The caller stops waiting. The answer is ignored when it arrives, and the limit no longer applies. */
  #giveUp(id: bigint, reason: unknown): void {
    const request = this.#outstanding.get(id);
    if (request === undefined) return;
    request.timer?.cancel();
    this.#outstanding.set(id, { ...request, settle: undefined });
    request.settle?.({ kind: 'error', error: reason instanceof Error ? reason : new Error(String(reason)) });
  }

  #receive(chunk: Buffer): void {
    this.#reader.push(chunk);
    while (this.#end === undefined) {
      const read = this.#reader.next();
      if (read.kind === 'incomplete') return;
      if (read.kind === 'badSize') this.#fail(`bridge read failed: message size ${read.size}`);
      else this.#handle(read.frame);
    }
  }

  #handle(frame: Frame): void {
    const kind = frameKind(frame.type);
    if (kind === frameKinds.response) this.#answer(frame);
    else if (kind === frameKinds.notification) this.#notify(frame);
    else this.#fail(`unknown message type 0x${frame.type.toString(16)}`);
  }

  #answer(frame: Frame): void {
    const request = this.#outstanding.get(frame.id);
    if (request === undefined) {
      const isOwn = frame.id >= this.#firstId && frame.id < this.#nextId;
      if (isOwn) this.#fail(`second response to request ${frame.id}`);
      else this.#answerLate(frame);
      return;
    }
    if (frame.type !== responseType(request.type)) {
      this.#fail(`response of type 0x${frame.type.toString(16)} to a request of another type`);
      return;
    }
    const body = parseJson(frame.payload);
    if (body === undefined) {
      this.#fail('undecodable response');
      return;
    }
    this.#outstanding.delete(frame.id);
    request.timer?.cancel();
    request.settle?.({ kind: 'answer', body });
  }

  #answerLate(frame: Frame): void {
    this.#lateAnswers += 1;
    this.#lateBytes += frame.payload.length;
    if (this.#lateAnswers > maxLateAnswers || this.#lateBytes > maxLateBytes) {
      this.#fail('too many responses to requests that were not made');
      return;
    }
    this.#onLateAnswer?.(frame.id, parseJson(frame.payload));
  }

  /** The guest sends notifications only for containers, and this host has none in its VMs (E.5). */
  #notify(frame: Frame): void {
    const parsed = exitNotification.safeParse(parseJson(frame.payload));
    if (frame.type !== containerExited) this.#fail(`unknown notification 0x${frame.type.toString(16)}`);
    else if (!parsed.success) this.#fail('undecodable notification');
    else this.#fail(`notification for unknown container ${beginning(parsed.data.ContainerId, 80)}`);
  }

  #fail(message: string): void {
    this.#die({ kind: 'failed', message });
  }

  #die(end: BridgeEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#stream.destroy();
    const outstanding = [...this.#outstanding.values()];
    this.#outstanding.clear();
    for (const request of outstanding) {
      request.timer?.cancel();
      request.settle?.({ kind: 'error', error: new BridgeClosedError(end) });
    }
    this.#settleClosed(end);
  }
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
}
