// Until when a connection must have asked something: a server that does not listen itself has no time-outs of its own for
// requests. Whoever takes for ever to ask loses the connection, be it for the first time or once more.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '../../runtime/clock.ts';

export interface RequestBounds {
  /** For a whole header. */
  readonly headerMilliseconds: number;
  /** Between two requests. */
  readonly idleMilliseconds: number;
}

interface Connection {
  deadline: Timer;
  /** Requests that are being answered: a client may send the next before it has the answer. */
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

  /** It is open, and has asked nothing yet. */
  connected(socket: Socket): void {
    const connection = { deadline: this.#deadline(socket, this.#bounds.headerMilliseconds), answering: 0 };
    this.#connections.set(socket, connection);
    socket.once('close', () => connection.deadline.cancel());
  }

  /** It has asked for what lasts as long as it does. */
  taken(socket: Socket): void {
    this.#connections.get(socket)?.deadline.cancel();
  }

  /** It has asked, and may ask again after the answer. */
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
