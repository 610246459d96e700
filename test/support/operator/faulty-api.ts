// A faulty API server: a proxy that answers some requests itself or delays them.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as textOf } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Outcome } from '../../../operator/kubernetes/api-error.ts';
import { type ClusterAccess, loadClusterAccess, plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import type { OpenedAnswer } from '../../../operator/kubernetes/transport.ts';
import { systemClock } from '../../../runtime/clock.ts';

export interface Seen {
  readonly method: string;
  readonly path: string;
}

export type Fault =
  | {
      readonly kind: 'Answer';
      readonly code: number;
      readonly reason: string;
      readonly headers?: http.OutgoingHttpHeaders;
    }
  /** Passes once `until` is resolved. */
  | { readonly kind: 'Hold'; readonly until: Promise<void> };

export class FaultyApi {
  readonly access: ClusterAccess;
  /** Called for each request. */
  fault: (seen: Seen) => Fault | undefined = () => undefined;
  readonly #upstream: ClusterAccess;
  readonly #server: http.Server;

  private constructor(upstream: ClusterAccess, server: http.Server) {
    this.#upstream = upstream;
    this.#server = server;
    server.on('request', (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.access = plainAccess(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  }

  static async open(kubeconfigPath: string): Promise<FaultyApi> {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultyApi(loadClusterAccess(kubeconfigPath, systemClock), server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/' } = request;
    const body = await textOf(request);
    const fault = this.fault({ method, path });
    if (fault?.kind === 'Answer') {
      const { code, reason } = fault;
      response.writeHead(code, { 'content-type': 'application/json', ...fault.headers });
      response.end(JSON.stringify({ kind: 'Status', code, reason, message: reason }));
      return;
    }
    await fault?.until;
    const outcome = await this.#pass(request, method, path, body, endOf(response));
    if (outcome.ok) await send(outcome.value, response);
    else response.destroy();
  }

  async #pass(
    { headers }: http.IncomingMessage,
    method: string,
    path: string,
    body: string,
    signal: AbortSignal,
  ): Promise<Outcome<OpenedAnswer>> {
    const { transport, headers: ours } = await this.#upstream.credentials(false);
    const { host, connection, 'content-length': _, ...passed } = headers;
    const message = {
      method: methods.parse(method),
      path,
      headers: { ...Object.fromEntries(Object.entries(passed).map(([name, value]) => [name, String(value)])), ...ours },
      body: body === '' ? null : body,
      signal,
      idleMilliseconds: idleMillisecondsMaximum,
    };
    if (path.includes('watch=true')) return transport.open(message);
    return transport.exchange({ ...message, maySend: () => true });
  }
}

function endOf(response: http.ServerResponse): AbortSignal {
  const ended = new AbortController();
  response.on('close', () => ended.abort());
  return ended.signal;
}

const methods = z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
const idleMillisecondsMaximum = 300_000;

async function send({ status, retryAfter, text, lines }: OpenedAnswer, response: http.ServerResponse): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
  };
  response.writeHead(status, headers).flushHeaders();
  if (lines === undefined) response.end(text);
  else await pipeline(lines, terminated, response);
}

async function* terminated(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}
