// Connections of peers that nobody knows yet. A stranger can open as many as he likes, so each costs little until it has
// said something, lasts a few seconds until it is admitted, and shares every place with its own address first.
//
//   Silent ──whole ClientHello──► Waiting ──its address's turn──► Speaking ──admit──► no longer an arrival
//
// Each of the three states is a pool (fair-pool.ts). The processor is shared by turns among addresses, too: a TLS handshake
// is by far the most expensive thing that a stranger can ask for, so only a few begin in one turn of the event loop, and
// whatever else the process does has its turn in between.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { FairPool } from './fair-pool.ts';
import { type Greeting, plainGreeting, tlsGreeting } from './greeting.ts';
import { connectionName, peerAddress } from './peer-address.ts';

export interface ArrivalsOptions {
  readonly clock: Clock;
  /** What the first bytes must be. */
  readonly tls: boolean;
  /** Takes over a connection whose turn it is. What it said so far is still to be read from it. */
  readonly serve: (socket: Socket) => void;
  readonly bounds?: Partial<ArrivalBounds>;
}

/** Connections in each state; beyond half of it, the address with the most of them loses its oldest. */
export interface ArrivalBounds {
  readonly silent: number;
  readonly waiting: number;
  readonly speaking: number;
  /** From the first byte of TCP until it is admitted. */
  readonly milliseconds: number;
}

export const defaultArrivalBounds: ArrivalBounds = {
  silent: 8_192,
  // 5,000 agents that dial at once have room, even from behind one address.
  waiting: 12_288,
  // By far the largest in memory: each has a TLS state.
  speaking: 4_096,
  milliseconds: 5_000,
};

/** Handshakes that begin in one turn of the event loop: about 4 ms of work. */
const handshakesAtOnce = 4;
const nothing = Buffer.alloc(0);

interface Arrival {
  readonly socket: Socket;
  readonly address: string;
  readonly deadline: Timer;
  readonly onReadable: () => void;
  /** In one piece, however many it came in: each piece would cost memory, and the time to put them together again. */
  said: Buffer;
  pool: FairPool<Arrival>;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #milliseconds: number;
  readonly #silent: FairPool<Arrival>;
  readonly #waiting: FairPool<Arrival>;
  readonly #speaking: FairPool<Arrival>;
  /** All of them. */
  readonly #byName = new Map<string, Arrival>();
  #turn: NodeJS.Immediate | undefined;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    const bounds = { ...defaultArrivalBounds, ...options.bounds };
    this.#milliseconds = bounds.milliseconds;
    this.#silent = new FairPool(bounds.silent);
    this.#waiting = new FairPool(bounds.waiting);
    this.#speaking = new FairPool(bounds.speaking);
  }

  get size(): number {
    return this.#byName.size;
  }

  /** A connection that was just opened. */
  arrive(socket: Socket): void {
    const name = connectionName(socket);
    const arrival: Arrival = {
      socket,
      address: peerAddress(socket),
      deadline: this.#options.clock.after(this.#milliseconds, () => socket.destroy()),
      onReadable: () => this.#listen(arrival),
      said: nothing,
      pool: this.#silent,
    };
    this.#byName.set(name, arrival);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => this.#forget(name, arrival));
    socket.on('readable', arrival.onReadable);
    this.#enter(arrival, this.#silent);
  }

  /** The peer has shown who it is: it counts as a stranger no more. Also of the TLS over the connection that arrived. */
  admit(socket: Socket): void {
    const name = connectionName(socket);
    const arrival = this.#byName.get(name);
    if (arrival !== undefined) this.#forget(name, arrival);
  }

  destroy(): void {
    if (this.#turn !== undefined) clearImmediate(this.#turn);
    for (const { socket } of this.#byName.values()) socket.destroy();
  }

  #enter(arrival: Arrival, pool: FairPool<Arrival>): void {
    arrival.pool = pool;
    pool.add(arrival.address, arrival)?.socket.destroy();
  }

  #forget(name: string, arrival: Arrival): void {
    arrival.deadline.cancel();
    arrival.pool.delete(arrival);
    if (this.#byName.get(name) === arrival) this.#byName.delete(name);
  }

  /** Reads on also while it waits for its turn, so that one that has gone away meanwhile costs no handshake. */
  #listen(arrival: Arrival): void {
    const { socket, pool } = arrival;
    const bytes: unknown = socket.read();
    if (Buffer.isBuffer(bytes)) arrival.said = Buffer.concat([arrival.said, bytes]);
    const greeting = this.#greeting(arrival.said);
    if (greeting === 'Foreign') socket.destroy();
    if (greeting !== 'Complete' || pool !== this.#silent || !pool.delete(arrival)) return;
    this.#enter(arrival, this.#waiting);
    this.#turn ??= setImmediate(() => this.#serveNext());
  }

  #greeting(said: Buffer): Greeting {
    return this.#options.tls ? tlsGreeting(said) : plainGreeting(said);
  }

  #serveNext(): void {
    this.#turn = undefined;
    for (let begun = 0; begun < handshakesAtOnce; begun += 1) {
      const next = this.#waiting.take();
      if (next === undefined) return;
      if (!next.socket.destroyed) this.#serve(next);
    }
    if (this.#waiting.size > 0) this.#turn = setImmediate(() => this.#serveNext());
  }

  #serve(arrival: Arrival): void {
    const { socket, said, onReadable } = arrival;
    this.#enter(arrival, this.#speaking);
    socket.off('readable', onReadable);
    socket.unshift(said);
    arrival.said = nothing;
    this.#options.serve(socket);
  }
}
