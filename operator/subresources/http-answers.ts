// Answers to requests: JSON, and refusals in the format of the API server. An answer that is written directly to a
// connection has a status line with Node's phrases and our numbers: no foreign text reaches a header.
import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import { type Refusal, statusOf } from './refusal.ts';

/** Also closes the connection when it may date from another replica's term or belongs to a stranger. */
export function refuse(response: http.ServerResponse, refusal: Refusal): void {
  const { code, retryAfterSeconds } = refusal;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', retryAfterSeconds);
  if (code === 503 || code === 401) response.setHeader('connection', 'close');
  sendJson(response, code, statusOf(refusal));
}

export function sendJson(response: http.ServerResponse, code: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(code, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(text),
      'x-content-type-options': 'nosniff',
    })
    .end(text);
}

/** Meanwhile remaining data is read: an unread byte would make the network discard the answer. */
const lingerMilliseconds = 1_000;

/**
 * For connections without a response object: an upgrade, a CONNECT, or something that is not a request. Ends the
 * connection.
 */
export function refuseConnection(socket: Duplex, refusal: Refusal, clock: Clock): void {
  // Refused already: the data that follows is not a request either.
  if (socket.writableEnded || socket.destroyed) return;
  const { code, retryAfterSeconds } = refusal;
  const body = JSON.stringify(statusOf(refusal));
  const lines = [
    `HTTP/1.1 ${code} ${http.STATUS_CODES[code] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(retryAfterSeconds === undefined ? [] : [`Retry-After: ${retryAfterSeconds}`]),
  ];
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
  socket.resume();
  const timer = clock.after(lingerMilliseconds, () => socket.destroy());
  socket.once('close', () => timer.cancel());
}

export function hasBody({ headers }: http.IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}
