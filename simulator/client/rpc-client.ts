// A connection to the service process of a simulated node: typed calls, and events.
import { connect, type Socket } from 'node:net';
import type { SystemExit } from '../../agent/node/backend.ts';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { readLines, sendLine } from '../wire/json-lines.ts';
import {
  type Failure,
  type Method,
  maxLineBytes,
  type Params,
  parseResult,
  type Result,
  serviceMessage,
} from '../wire/rpc.ts';

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export interface RpcEvents {
  readonly ended: (handle: number, exit: SystemExit) => void;
  readonly disconnected: () => void;
}

export class RpcClient {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #nextNumber = 1;
  #isClosed = false;

  private constructor(socket: Socket, events: RpcEvents) {
    this.#socket = socket;
    readLines(socket, maxLineBytes, (message) => this.#receive(message, events));
    socket.on('error', () => {});
    socket.once('close', () => this.#disconnected(events));
  }

  static connect(path: string, events: RpcEvents): Promise<RpcClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RpcClient(socket, events));
      });
    });
  }

  /** Rejects with an HcsError when HCS refuses or the service is gone, else with a plain error. */
  async call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    if (this.#isClosed) throw disconnectError(method);
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    const reply = new Promise<unknown>((resolve, reject) => this.#pending.set(number, { resolve, reject }));
    sendLine(this.#socket, { number, method, params });
    return parseResult(method, await reply.catch((error: unknown) => rethrow(method, error)));
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.destroySoon();
    });
  }

  #receive(message: unknown, events: RpcEvents): void {
    const parsed = serviceMessage.parse(message);
    if ('ended' in parsed) {
      events.ended(parsed.ended, parsed.exit);
      return;
    }
    const pending = this.#pending.get(parsed.number);
    this.#pending.delete(parsed.number);
    if ('failure' in parsed) pending?.reject(errorOf(parsed.failure));
    else pending?.resolve(parsed.result);
  }

  #disconnected(events: RpcEvents): void {
    this.#isClosed = true;
    for (const pending of this.#pending.values()) pending.reject(new Disconnected());
    this.#pending.clear();
    events.disconnected();
  }
}

class Disconnected extends Error {}

function rethrow(method: Method, error: unknown): never {
  throw error instanceof Disconnected ? disconnectError(method) : error;
}

function disconnectError(method: Method): HcsError {
  return new HcsError(method, hresult.serviceDisconnect);
}

function errorOf({ operation, message, hresult: code, detail }: Failure): Error {
  return code === undefined ? new Error(message) : new HcsError(operation, code, detail);
}
