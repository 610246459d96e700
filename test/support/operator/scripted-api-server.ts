// An HTTP server that answers lists and watches from a script, one entry for each request.
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void;

export class ScriptedApiServer {
  readonly requests: { readonly url: URL; readonly headers: http.IncomingHttpHeaders }[] = [];
  /** The answer, outside the script, to a request for the version only. */
  version = '1000000';
  looks = 0;
  readonly #script: Answer[];
  readonly #server: http.Server;
  #url = '';

  constructor(script: readonly Answer[]) {
    this.#script = [...script];
    this.#server = http.createServer((request, response) => {
      const url = new URL(request.url ?? '/', 'http://x');
      if (url.searchParams.get('limit') === '1') {
        this.looks += 1;
        listOf([], this.version)(request, response);
        return;
      }
      this.requests.push({ url, headers: request.headers });
      const answer = this.#script.shift() ?? hangingWatch([]);
      answer(request, response);
    });
  }

  get url(): URL {
    return new URL(this.#url);
  }

  get watches(): readonly URL[] {
    return this.requests.map(({ url }) => url).filter((url) => url.searchParams.get('watch') === 'true');
  }

  get lists(): readonly URL[] {
    return this.requests.map(({ url }) => url).filter((url) => !url.searchParams.has('watch'));
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

export function object(name: string, resourceVersion: string, uid = `uid-${name}`): object {
  return {
    metadata: { name, namespace: 'default', uid, resourceVersion, managedFields: [{ manager: 'x' }] },
    spec: {},
  };
}

export function listOf(items: readonly object[], resourceVersion: string, next = ''): Answer {
  return (_request, response) => json(response, 200, { metadata: { resourceVersion, continue: next }, items });
}

export function status(code: number, reason: string, headers: http.OutgoingHttpHeaders = {}): Answer {
  return (_request, response) => json(response, code, { kind: 'Status', code, reason, message: reason }, headers);
}

export const event = (type: string, body: object) => `${JSON.stringify({ type, object: body })}\n`;
export const bookmark = (resourceVersion: string) => event('BOOKMARK', { metadata: { resourceVersion } });

/** Sends the text and keeps the watch open. */
export function hangingWatch(chunks: readonly string[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    for (const chunk of chunks) response.write(chunk);
  };
}

export function endingWatch(chunks: readonly string[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(chunks.join(''));
  };
}

/** Sends the text and cuts the connection. */
export function brokenWatch(text: string): Answer {
  return (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(text, () => response.destroy());
  };
}

function json(response: http.ServerResponse, code: number, body: object, headers: http.OutgoingHttpHeaders = {}): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}
