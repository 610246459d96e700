// Answers connections of the aggregated API: requests of the front proxy according to its users' rights, those of
// strangers always in the same way.
import http from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { Clock } from '../../runtime/clock.ts';
import { plainText } from '../../runtime/plain-text.ts';
import type { FrontProxy } from './front-proxy.ts';
import { hasBody, refuse, refuseConnection } from './http-answers.ts';
import type { MachineRequests } from './machine-requests.ts';
import { badRequest, type Refusal, unauthorized, unavailable } from './refusal.ts';
import type { RemoteUser } from './remote-user.ts';
import { RequestDeadlines } from './request-deadlines.ts';

export interface HttpServersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly frontProxy: FrontProxy;
  readonly requests: MachineRequests;
  /** Whether this replica has the agents' sessions. */
  readonly leads: () => boolean;
}

const bounds = {
  headerMilliseconds: 10_000,
  /** Longest pause between two requests on one connection. */
  idleMilliseconds: 90_000,
  /** A user may have a thousand groups, and a command many arguments. */
  headerBytes: 128 * 1024,
  strangerHeaderBytes: 8 * 1024,
  /** Shortest time between two log lines about strangers. */
  tellMilliseconds: 1_000,
} as const;

const internalError: Refusal = { code: 500, reason: 'InternalError', message: 'the operator could not serve this' };
const stranger = unauthorized('ask the API server');

export class HttpServers {
  readonly #options: HttpServersOptions;
  readonly #deadlines: RequestDeadlines;
  /** Bounds the log about strangers: when one was logged last, and how many were not logged since. */
  #told = { at: Number.NEGATIVE_INFINITY, since: 0 };

  constructor(options: HttpServersOptions) {
    this.#options = options;
    this.#deadlines = new RequestDeadlines(options.clock, bounds);
  }

  /** Call for a connection of the front proxy; it has to send a request soon. */
  connected(socket: Socket): void {
    this.#deadlines.connected(socket);
  }

  /**
   * Serves connections that were asked for a certificate of this authority. Each request is judged by that certificate.
   */
  forFrontProxy(authority: string): http.Server {
    const { clock, requests } = this.#options;
    const server = http.createServer({
      keepAliveTimeout: bounds.idleMilliseconds,
      maxHeaderSize: bounds.headerBytes,
    });
    // By default Node drops headers beyond a number, but no group may be dropped. Their bytes are bounded.
    server.maxHeadersCount = 0;
    this.#onEveryRequest(server, async (request, response) => {
      this.#deadlines.asked(request.socket, response);
      // A body is not read, so the connection ends with the answer.
      if (hasBody(request)) response.shouldKeepAlive = false;
      const admitted = this.#judge(request, authority);
      if (admitted.ok) await requests.answer(admitted.user, request, response);
      else refuse(response, admitted.refusal);
    });
    server.on('upgrade', (request, socket, head) => {
      this.#deadlines.taken(request.socket);
      socket.on('error', () => socket.destroy());
      const admitted = this.#judge(request, authority);
      if (!admitted.ok) return refuseConnection(socket, admitted.refusal, clock);
      requests.upgrade(admitted.user, { request, socket, head }).catch((error: unknown) => {
        this.#unexpected(error);
        refuseConnection(socket, internalError, clock);
      });
    });
    return server;
  }

  /** Requests of strangers are not read: all get the same answer. */
  forStrangers(): http.Server {
    const server = http.createServer({ maxHeaderSize: bounds.strangerHeaderBytes, requireHostHeader: false });
    this.#onEveryRequest(server, async (request, response) => {
      this.#tellStranger(request, 'there is no client certificate of the front proxy');
      refuse(response, stranger);
    });
    return server;
  }

  #onEveryRequest(
    server: http.Server,
    serve: (request: http.IncomingMessage, response: http.ServerResponse) => Promise<void>,
  ): void {
    const { clock } = this.#options;
    const answer = (request: http.IncomingMessage, response: http.ServerResponse) => {
      serve(request, response).catch((error: unknown) => {
        this.#unexpected(error);
        if (response.headersSent) response.destroy();
        else refuse(response, internalError);
      });
    };
    for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, answer);
    server.on('connect', (_request, socket) => {
      socket.on('error', () => socket.destroy());
      refuseConnection(socket, badRequest('only GET is served'), clock);
    });
    server.on('clientError', (_error, socket) => {
      if (this.#deadlines.isAnswering(socket)) socket.destroy();
      else refuseConnection(socket, badRequest('this is no request of HTTP/1.1, or its header is too large'), clock);
    });
  }

  #unexpected(error: unknown): void {
    this.#options.logger.error({ err: error }, 'a request for a subresource could not be served');
  }

  #judge(
    request: http.IncomingMessage,
    authority: string,
  ): { readonly ok: true; readonly user: RemoteUser } | { readonly ok: false; readonly refusal: Refusal } {
    const asker = this.#options.frontProxy.judge(request, authority);
    if (!asker.ok) {
      this.#tellStranger(request, asker.message);
      return { ok: false, refusal: stranger };
    }
    if (!this.#options.leads())
      return { ok: false, refusal: unavailable('no replica of the operator is the leader now') };
    return asker;
  }

  #tellStranger({ socket }: http.IncomingMessage, error: string): void {
    const { clock, logger } = this.#options;
    const now = clock.now();
    if (Math.abs(now - this.#told.at) < bounds.tellMilliseconds) {
      this.#told.since += 1;
      return;
    }
    const peer = socket.remoteAddress;
    logger.warn({ peer, error: plainText(error), untold: this.#told.since }, 'a request was refused');
    this.#told = { at: now, since: 0 };
  }
}
