// One end of a WebSocket in the simulated world. It behaves like `ws` where the product can notice: frames arrive whole
// and in order, a paused reader makes its writer wait, a close handshake carries its code, and if the other end
// disappears, this end closes abnormally (1006) or never.

import { EventEmitter } from 'node:events';
import type { RawData } from 'ws';
import { openState, type Socket } from '../../../protocol/socket.ts';
import { message } from '../coverage.ts';
import type { World } from '../world.ts';

const states = { open: openState, closing: 2, closed: 3 } as const;
const abnormalClosure = 1006;

/** Bytes in the buffers of both systems. A writer beyond that waits. */
const bufferBytes = 256 * 1024;
/** The size of a frame besides its content. */
const frameBytes = 16;

type Frame =
  | { readonly kind: 'message'; readonly data: Buffer; readonly isBinary: boolean }
  | { readonly kind: 'ping' | 'pong'; readonly data: Buffer }
  | { readonly kind: 'close'; readonly code: number; readonly reason: Buffer }
  /** The connection ended without a closing handshake. */
  | { readonly kind: 'end' };

export interface WayOptions {
  readonly world: World;
  readonly source: string;
  /** Milliseconds from one end to the other. */
  readonly latency: () => number;
  /** Whether the network is cut. What is sent meanwhile arrives once it is whole (`mend`), as TCP sends it again. */
  readonly isCut: () => boolean;
  /** Receives each message when it is sent, and when it is read. */
  readonly sent?: ((text: string) => void) | undefined;
  readonly read?: ((text: string) => void) | undefined;
}

export interface PairOptions extends WayOptions {
  /** Whether the process of an end gets no processor: what was sent to it arrives once it goes on (`mend`). */
  readonly isHeld?: { readonly near: () => boolean; readonly far: () => boolean };
}

export interface SocketOptions extends WayOptions {
  /** Answers pings itself, as `ws` does unless told otherwise. */
  readonly autoPong: boolean;
}

/** `near` is the end of the client. */
export function connectedSockets({ isHeld, ...options }: PairOptions): {
  readonly near: SimulatedSocket;
  readonly far: SimulatedSocket;
} {
  const isCutTo = (end: 'near' | 'far') => () => options.isCut() || isHeld?.[end]() === true;
  const near = new SimulatedSocket({ ...options, isCut: isCutTo('far'), autoPong: true });
  const far = new SimulatedSocket({ ...options, isCut: isCutTo('near'), autoPong: false });
  near.connect(far);
  far.connect(near);
  return { near, far };
}

const messageType = /^\{"type":"(\w+)"/;

function messageMark(text: string): string {
  return message(messageType.exec(text)?.[1] ?? 'of no type');
}

export class SimulatedSocket extends EventEmitter implements Socket {
  readonly #options: SocketOptions;
  #other: SimulatedSocket | undefined;
  #state: number = states.open;
  #isPaused = false;
  /** The process of this end is dead: this end neither receives nor sends. */
  #isSevered = false;
  /** Frames that have arrived and were not read yet. */
  readonly #arrived: Frame[] = [];
  /** Bytes that the other end sent and this end has not read. */
  #unread = 0;
  /** Sends of the other end that wait until this end reads. */
  readonly #blocked: (() => void)[] = [];
  /** When the previous frame arrives. No frame overtakes another. */
  #lastArrival = 0;
  /** The pending arrivals, in order. Events of the same time can change places, but frames must not. */
  readonly #putting: (() => void)[] = [];
  readonly #onTheWay: (() => void)[] = [];
  /** How many frames should have arrived, and wait for the network. */
  #held = 0;
  #hasSentClose = false;

  constructor(options: SocketOptions) {
    super();
    this.#options = options;
  }

  /** @internal */
  connect(other: SimulatedSocket): void {
    this.#other = other;
  }

  get readyState(): number {
    return this.#state;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  send(data: string | Buffer, sent: (error?: Error) => void): void {
    if (this.#state !== states.open) {
      sent(new Error('WebSocket is not open'));
      return;
    }
    const isBinary = typeof data !== 'string';
    if (!isBinary) this.#sends(data);
    this.#put({ kind: 'message', data: Buffer.from(data), isBinary }, sent);
  }

  #sends(text: string): void {
    this.#options.world.reach(messageMark(text));
    this.#options.sent?.(text);
  }

  ping(): void {
    if (this.#state === states.open) this.#put({ kind: 'ping', data: Buffer.alloc(0) });
  }

  pong(data: Buffer, _mask: undefined, sent: (error?: Error) => void): void {
    if (this.#state === states.open) this.#put({ kind: 'pong', data }, sent);
    else sent(new Error('WebSocket is not open'));
  }

  pause(): void {
    if (this.#state === states.open) this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#read();
  }

  close(code: number, reason: string): void {
    if (this.#state !== states.open) return;
    this.#state = states.closing;
    this.#sayClose(code, Buffer.from(reason));
  }

  terminate(): void {
    if (this.#state === states.closed) return;
    this.#put({ kind: 'end' });
    this.#later(() => this.#closed(abnormalClosure, Buffer.alloc(0)));
  }

  /** The process of this end died. Its system ends the connection, unless the whole host is gone. */
  sever({ told }: { readonly told: boolean }): void {
    if (this.#isSevered) return;
    if (told && this.#state !== states.closed) this.#put({ kind: 'end' });
    this.#isSevered = true;
    this.removeAllListeners();
  }

  #sayClose(code: number, reason: Buffer): void {
    if (this.#hasSentClose) return;
    this.#hasSentClose = true;
    this.#put({ kind: 'close', code, reason });
  }

  /** Gives a frame to the network. `sent` is called once the buffers have accepted it. */
  #put(frame: Frame, sent: (error?: Error) => void = () => {}): void {
    const other = this.#other;
    if (this.#isSevered || other === undefined) return;
    const bytes = frameBytes + ('data' in frame ? frame.data.length : 0);
    const put = () => {
      other.#unread += bytes;
      this.#deliver(frame, bytes, other);
      if (!this.#isSevered) sent();
    };
    if (other.#unread + bytes > bufferBytes && frame.kind === 'message') other.#blocked.push(put);
    else this.#later(put);
  }

  #deliver(frame: Frame, bytes: number, other: SimulatedSocket): void {
    const { world, latency } = this.#options;
    const arrival = Math.max(world.elapsed + latency(), this.#lastArrival);
    this.#lastArrival = arrival;
    this.#onTheWay.push(() => other.#arrive(frame, bytes));
    world.after(arrival - world.elapsed, this.#options.source, () => this.#pass());
  }

  /** The network is whole again. */
  mend(): void {
    const { source, world } = this.#options;
    for (const _ of Array.from({ length: this.#held })) world.after(1, source, () => this.#pass());
    this.#held = 0;
  }

  /** The next frame arrives, unless the network is cut. */
  #pass(): void {
    if (this.#options.isCut()) this.#held += 1;
    else this.#onTheWay.shift()?.();
  }

  #arrive(frame: Frame, bytes: number): void {
    if (this.#isSevered || this.#state === states.closed) return;
    if (frame.kind === 'end') {
      // Frames that arrived earlier are read first, even by a paused end.
      this.#isPaused = false;
    }
    this.#arrived.push(frame);
    this.#read();
    this.#release(bytes);
  }

  #release(bytes: number): void {
    this.#unread -= bytes;
    const blocked = this.#blocked.splice(0);
    for (const put of blocked) put();
  }

  #read(): void {
    while (!this.#isPaused && !this.#isSevered && this.#state !== states.closed) {
      const frame = this.#arrived.shift();
      if (frame === undefined) return;
      this.#take(frame);
    }
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case 'message':
        if (!frame.isBinary) this.#options.read?.(frame.data.toString());
        this.emit('message', frame.data, frame.isBinary);
        return;
      case 'ping':
        if (this.#options.autoPong && this.#state === states.open) this.#put({ kind: 'pong', data: frame.data });
        this.emit('ping', frame.data);
        return;
      case 'pong':
        this.emit('pong', frame.data);
        return;
      case 'close':
        this.#sayClose(frame.code, frame.reason);
        this.#closed(frame.code, frame.reason);
        return;
      case 'end':
        this.#closed(abnormalClosure, Buffer.alloc(0));
        return;
    }
  }

  #closed(code: number, reason: Buffer): void {
    if (this.#state === states.closed || this.#isSevered) return;
    this.#state = states.closed;
    for (const put of this.#blocked.splice(0)) put();
    this.emit('close', code, reason);
  }

  #later(task: () => void): void {
    this.#putting.push(task);
    this.#options.world.after(0, this.#options.source, () => this.#putting.shift()?.());
  }

  override emit(event: 'message', data: RawData, isBinary: boolean): boolean;
  override emit(event: string, ...values: unknown[]): boolean;
  override emit(event: string, ...values: unknown[]): boolean {
    return super.emit(event, ...values);
  }
}
