// Answers to requests: JSON, and refusals as the API server itself would give them. What is written to a connection by hand
// has a status line of Node's own phrases and numbers of ours: no text of anybody reaches a header.
import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/clock.ts';
import { type Refusal, statusOf } from './refusal.ts';

/** The connection goes too where it may have come while another replica led, or from a stranger. */
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

/** What is still on its way is read meanwhile: an unread byte would make the network drop the answer. */
const lingerMilliseconds = 1_000;

/** Where there is no response to write to: an upgrade, a CONNECT, what is no request at all. The connection ends. */
export function refuseConnection(socket: Duplex, refusal: Refusal, clock: Clock): void {
  // Told before: what comes behind it is no request either.
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
