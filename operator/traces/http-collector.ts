// A collector of traces that is reached over OTLP/HTTP.
import { readFile } from 'node:fs/promises';
import { Agent } from 'undici';
import { beginningOfBody } from '../../runtime/beginning-of-body.ts';
import type { Collector, CollectorAnswer } from './exporter.ts';

export interface HttpCollectorSettings {
  /** Base address, to which `v1/traces` is added. */
  readonly endpoint: URL;
  /** File with a bearer token, read again for each request. */
  readonly tokenFile: string | undefined;
}

/** Of an answer. */
const answerBytes = 4_096;

export class HttpCollector implements Collector {
  readonly #settings: HttpCollectorSettings;
  /** Requests follow each other. */
  readonly #connections = new Agent({ connections: 1, pipelining: 1 });

  constructor(settings: HttpCollectorSettings) {
    this.#settings = settings;
  }

  async post(body: string, signal: AbortSignal): Promise<CollectorAnswer> {
    const { endpoint, tokenFile } = this.#settings;
    const token = tokenFile === undefined ? undefined : (await readFile(tokenFile, 'utf8')).trim();
    const answer = await this.#connections.request({
      origin: endpoint.origin,
      path: `${endpoint.pathname.replace(/\/$/, '')}/v1/traces`,
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) },
      body,
      signal,
    });
    return { status: answer.statusCode, text: await beginningOfBody(answer.body, answerBytes) };
  }

  close(): Promise<void> {
    return this.#connections.close();
  }
}
