// What the client of the API server needs of HTTP. The product uses undici (undici-transport.ts).
import type { Outcome } from './api-error.ts';

export interface Message {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal | undefined;
  /** Gives up when nothing arrives for this long. */
  readonly idleMilliseconds: number;
}

export interface Exchange extends Message {
  /** Asked once the connection is open, right before sending. */
  readonly maySend: () => boolean;
}

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

/** An answer that continues has `lines`, and its `text` is empty. */
export interface OpenedAnswer extends Answer {
  /** The lines that are not empty. The iteration fails when the connection does, or when `signal` aborts. */
  readonly lines?: AsyncIterable<string>;
}

export interface ApiTransport {
  /** One request and its whole answer. */
  exchange(request: Exchange): Promise<Outcome<Answer>>;
  /** One request whose answer continues, as that of a watch, unless it is a refusal. */
  open(request: Message): Promise<Outcome<OpenedAnswer>>;
}
