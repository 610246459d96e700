// One client of the service process. Its requests are served concurrently, and its handles are closed when it
// disconnects.
import type { Socket } from 'node:net';
import type { SystemExit, SystemId } from '../../agent/node/backend.ts';
import { HcsError, hresult } from '../../agent/node/hcs-error.ts';
import { HnsError } from '../../agent/node/hns-error.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { readLines, sendLine } from '../wire/json-lines.ts';
import {
  type Failure,
  isMethod,
  type Method,
  maxLineBytes,
  maxPendingRequests,
  type Params,
  type ParsedParams,
  parseParams,
  request,
} from '../wire/rpc.ts';
import type { SimulatedNode } from './node.ts';

/** Handlers of the methods that need no handle. */
export type CommonHandlers = {
  readonly [M in Exclude<Method, 'create' | 'cancelCreation' | 'open' | 'close'>]: (params: ParsedParams<M>) => unknown;
};

export class Connection {
  readonly #socket: Socket;
  readonly #node: SimulatedNode;
  readonly #common: CommonHandlers;
  readonly #handles = new Set<number>();
  readonly #creations = new Map<SystemId, AbortController>();
  #pending = 0;
  #isAgent = false;

  constructor(socket: Socket, node: SimulatedNode, common: CommonHandlers) {
    this.#socket = socket;
    this.#node = node;
    this.#common = common;
    readLines(socket, maxLineBytes, (message) => this.#receive(message));
    // An error ends this connection only; `close` reports the end.
    socket.on('error', () => {});
    socket.once('close', () => this.#runDown());
  }

  get isAgent(): boolean {
    return this.#isAgent;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The service restarts under the client: the client's handles are gone, and the systems stay. */
  forget(): void {
    for (const handle of this.#handles) this.#node.forget(handle);
    this.#handles.clear();
    this.#socket.destroy();
  }

  #receive(message: unknown): void {
    const { number, method, params } = request.parse(message);
    if (this.#pending >= maxPendingRequests) throw new Error('too many requests wait for their reply');
    this.#pending += 1;
    void this.#serve(number, method, params).finally(() => {
      this.#pending -= 1;
    });
  }

  async #serve(number: number, method: string, params: unknown): Promise<void> {
    try {
      const result = await this.#call(method, params);
      sendLine(this.#socket, { number, result: result ?? {} });
    } catch (error) {
      sendLine(this.#socket, { number, failure: failureOf(method, error) });
    }
  }

  async #call(method: string, params: unknown): Promise<unknown> {
    if (!isMethod(method)) throw new Error('there is no such method');
    if (method === 'create') {
      const { id, document } = parseParams('create', params);
      return this.#keep(this.#create(id, document));
    }
    if (method === 'cancelCreation') return this.#cancelCreation(parseParams('cancelCreation', params).id);
    if (method === 'open') return this.#keep(this.#node.open(parseParams('open', params).id, this.#ended));
    if (method === 'close') return this.#close(parseParams('close', params));
    if (method === 'hello') this.#isAgent = true;
    return this.#callCommon(method, params);
  }

  async #create(id: SystemId, document: string): Promise<number> {
    const creation = new AbortController();
    this.#creations.set(id, creation);
    try {
      return await this.#node.create(id, document, this.#ended, creation.signal);
    } finally {
      if (this.#creations.get(id) === creation) this.#creations.delete(id);
    }
  }

  /** Terminating makes a hanging creation return. */
  async #cancelCreation(id: SystemId): Promise<void> {
    const creation = this.#creations.get(id);
    await this.#node.terminateCreation(id);
    creation?.abort(new HcsError('HcsCreateComputeSystem', hresult.terminated, id));
  }

  #callCommon<M extends keyof CommonHandlers>(method: M, params: unknown): unknown {
    const handler: CommonHandlers[M] = this.#common[method];
    const parsed = parseParams(method, params);
    // A handle is valid only for the client that got it; others get ERROR_INVALID_HANDLE (hcs-runtime A.6).
    if ('handle' in parsed && !this.#handles.has(parsed.handle)) throw new HcsError(method, 0x8007_0006);
    return handler(parsed);
  }

  /** If the client disconnects while it waits for a handle, the handle is closed at once. */
  async #keep(opening: Promise<number>): Promise<{ handle: number }> {
    const handle = await opening;
    if (this.#socket.destroyed) this.#node.release(handle);
    else this.#handles.add(handle);
    return { handle };
  }

  #close({ handle }: Params<'close'>): void {
    if (this.#handles.delete(handle)) this.#node.release(handle);
  }

  readonly #ended = (handle: number, exit: SystemExit): void => {
    sendLine(this.#socket, { ended: handle, exit });
  };

  #runDown(): void {
    for (const handle of this.#handles) this.#node.release(handle);
    this.#handles.clear();
  }
}

function failureOf(operation: string, error: unknown): Failure {
  if (error instanceof HcsError || error instanceof HnsError) {
    const { operation: call, hresult, message, detail } = error;
    return detail === undefined ? { operation: call, message, hresult } : { operation: call, message, hresult, detail };
  }
  return { operation, message: messageOf(error) };
}
