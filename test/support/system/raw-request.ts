// A request as raw bytes: HTTP libraries normalise what they send.
import { randomBytes } from 'node:crypto';
import { type ConnectionOptions, connect } from 'node:tls';
import { channelSubprotocol } from '../../../protocol/subresources.ts';

const patienceMilliseconds = 10_000;
const mostBytes = 64 * 1024;

export interface RawAnswer {
  /** 0 when there was no answer. */
  readonly code: number;
  readonly text: string;
}

/** Returns the answer to these bytes, until the connection ends, is upgraded, or takes too long. */
export async function sendRaw(to: ConnectionOptions, bytes: string): Promise<RawAnswer> {
  const socket = connect({ rejectUnauthorized: false, ...to });
  const text = await new Promise<string>((resolve) => {
    let received = '';
    const finish = () => resolve(received);
    socket.setTimeout(patienceMilliseconds, finish);
    socket.once('secureConnect', () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (isWhole(received) || received.length > mostBytes) finish();
    });
    socket.once('error', finish);
    socket.once('close', finish);
  });
  socket.destroy();
  return { code: Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0), text };
}

/** A refused upgrade may leave the connection open. */
function isWhole(received: string): boolean {
  const end = received.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const head = received.slice(0, end);
  if (head.startsWith('HTTP/1.1 101 ')) return true;
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  return length === undefined ? received.endsWith('\r\n0\r\n\r\n') : received.length >= end + 4 + Number(length);
}

/** The header lines of an upgrade to a WebSocket, for `exec` and `console`. */
export function webSocketHeaders(): readonly string[] {
  return [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    `Sec-WebSocket-Protocol: ${channelSubprotocol}`,
  ];
}

export const plainHeaders: readonly string[] = ['Connection: close'];

export function rawRequest(method: string, target: string, headers: readonly string[]): string {
  return `${[`${method} ${target} HTTP/1.1`, 'Host: kubernetes.default', ...headers].join('\r\n')}\r\n\r\n`;
}

/** How often each code was answered. */
export function tally(codes: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, count]) => `${code} ×${count}`).join(', ');
}
