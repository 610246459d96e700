// Connections of peers whose identity is not known yet. A stranger can open any number of them. So each costs little
// until it has sent something, lasts a few seconds until it is admitted, and competes for a place with its own address
// first.
//
//   Silent ──whole ClientHello──► Waiting ──its address's turn──► Speaking ──admit──► no longer an arrival
//
// Each of the three states is a pool (fair-pool.ts). Addresses also take turns with the processor: a TLS handshake is
// by far the most expensive thing that a stranger can request, so only a few begin in one turn of the event loop, and
// other work of the process gets its turn in between.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../clock.ts';
import { FairPool } from './fair-pool.ts';
import { type Greeting, plainGreeting, tlsGreeting } from './greeting.ts';
import { connectionName, peerAddress } from './peer-address.ts';

export interface ArrivalsOptions {
  readonly clock: Clock;
  /** Whether the first bytes must be a TLS ClientHello. */
  readonly tls: boolean;
  /** Takes over a connection whose turn it is. The bytes received so far can still be read from it. */
  readonly serve: (socket: Socket) => void;
  readonly bounds?: Partial<ArrivalBounds>;
}

/** Most connections in each state. Beyond half of that, the address with the most connections loses its oldest. */
export interface ArrivalBounds {
  readonly silent: number;
  readonly waiting: number;
  readonly speaking: number;
  /** From the start of the TCP connection until it is admitted. */
  readonly milliseconds: number;
}

export const defaultArrivalBounds: ArrivalBounds = {
  silent: 8_192,
  // Room for 5,000 agents that connect at once, even from one address.
  waiting: 12_288,
  // Needs by far the most memory: each has a TLS state.
  speaking: 4_096,
  milliseconds: 5_000,
};

/** Handshakes that begin in one turn of the event loop: about 4 ms of work. */
const handshakesAtOnce = 4;
/**
 * A connection that has waited for its turn for this part of its time is closed. The rest would not be enough for its
 * handshake and its token. Without this rule, a server that is too slow for all who connect begins every handshake too
 * late, completes none, and has them all again.
 */
const longestWait = 0.5;
const nothing = Buffer.alloc(0);

interface Arrival {
  readonly socket: Socket;
  readonly address: string;
  deadline: Timer;
  readonly onReadable: () => void;
  /** The bytes so far, in one buffer: many pieces would cost memory, and time to join them. */
  said: Buffer;
  pool: FairPool<Arrival>;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #milliseconds: number;
  readonly #silent: FairPool<Arrival>;
  readonly #waiting: FairPool<Arrival>;
  readonly #speaking: FairPool<Arrival>;
  /** All arrivals. */
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

  /** Takes a connection that was just opened. */
  arrive(socket: Socket): void {
    const name = connectionName(socket);
    const arrival: Arrival = {
      socket,
      address: peerAddress(socket),
      deadline: this.#options.clock.after(this.#milliseconds * longestWait, () => this.#isLate(arrival)),
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

  /**
   * The peer has proved its identity: it no longer counts as a stranger. Accepts the TLS socket on top of an arrival,
   * too.
   */
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

  #isLate(arrival: Arrival): void {
    if (arrival.pool === this.#waiting) {
      arrival.socket.destroy();
      return;
    }
    const rest = this.#milliseconds * (1 - longestWait);
    arrival.deadline = this.#options.clock.after(rest, () => arrival.socket.destroy());
  }

  /** Also reads while the connection waits for its turn, so that a peer that disconnects costs no handshake. */
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
