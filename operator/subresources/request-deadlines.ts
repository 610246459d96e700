// Deadlines by which a connection must send a request: a server that does not listen itself has no time-outs for
// requests. A client that takes too long loses its connection, for its first request and for every further one.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../runtime/clock.ts';

export interface RequestBounds {
  /** Time for a whole header. */
  readonly headerMilliseconds: number;
  /** Time between two requests. */
  readonly idleMilliseconds: number;
}

interface Connection {
  deadline: Timer;
  /** Requests that are being answered: a client may send the next request before it has the answer. */
  answering: number;
}

export class RequestDeadlines {
  readonly #clock: Clock;
  readonly #bounds: RequestBounds;
  readonly #connections = new WeakMap<Duplex, Connection>();

  constructor(clock: Clock, bounds: RequestBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** The connection is open and has not sent a request yet. */
  connected(socket: Socket): void {
    const connection = { deadline: this.#deadline(socket, this.#bounds.headerMilliseconds), answering: 0 };
    this.#connections.set(socket, connection);
    socket.once('close', () => connection.deadline.cancel());
  }

  /** The request lasts as long as its connection. */
  taken(socket: Socket): void {
    this.#connections.get(socket)?.deadline.cancel();
  }

  /** The connection has sent a request, and may send another after the answer. */
  asked(socket: Socket, response: ServerResponse): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.deadline.cancel();
    connection.answering += 1;
    response.once('close', () => {
      connection.answering -= 1;
      if (connection.answering > 0 || socket.destroyed) return;
      const { headerMilliseconds, idleMilliseconds } = this.#bounds;
      connection.deadline = this.#deadline(socket, idleMilliseconds + headerMilliseconds);
    });
  }

  isAnswering(socket: Duplex): boolean {
    return (this.#connections.get(socket)?.answering ?? 0) > 0;
  }

  #deadline(socket: Socket, milliseconds: number): Timer {
    return this.#clock.after(milliseconds, () => socket.destroy());
  }
}
