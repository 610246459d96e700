// Opens a WebSocket to the operator. The token is read again each time, because the kubelet replaces it, and only the
// given CA is trusted (design §7).
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { type ClientOptions, WebSocket } from 'ws';
import { webSocketMaxPayload } from '../../protocol/channel.ts';
import { subprotocol } from '../../protocol/messages.ts';
import type { Socket } from '../../protocol/socket.ts';
import { type Clock, delay, type Random } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';

export interface DialSettings {
  /** `wss://…/v1/agents`; `ws://` only for a loopback address. */
  readonly url: string;
  readonly tokenFile: string;
  readonly caFile: string | undefined;
}

/** The text of the `ws` error, which has no code. */
const handshakeTimedOut = 'Opening handshake has timed out';
const loopbackHosts: ReadonlySet<string> = new Set(['127.0.0.1', 'localhost', '[::1]']);

/**
 * The URL with brackets around an IPv6 address. The kubelet inserts the address of the operator's Service into the
 * agent's arguments as it is, and no template can know its family.
 */
export function bracketed(text: string): string {
  const begin = text.indexOf('://') + 3;
  const slash = text.indexOf('/', begin);
  const authority = text.slice(begin, slash < 0 ? text.length : slash);
  const host = authority.slice(0, Math.max(0, authority.lastIndexOf(':')));
  return begin > 2 && isIPv6(host) ? text.replace(host, `[${host}]`) : text;
}

/** What is wrong with a URL; undefined when it is valid. */
export function urlProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null) return `${text} is not a URL`;
  if (url.protocol === 'wss:') return undefined;
  if (url.protocol !== 'ws:') return `${text} must begin with wss://`;
  return loopbackHosts.has(url.hostname) ? undefined : `${text} is not encrypted: use wss:// except on loopback`;
}

/** One attempt. Rejects with `OtherReplicaError` when another replica may serve the agent. */
export type OpenSocket<S extends Socket = Socket> = (settings: DialSettings, signal: AbortSignal) => Promise<S>;

export interface DialPorts<S extends Socket> {
  readonly clock: Clock;
  readonly random: Random;
  readonly openSocket: OpenSocket<S>;
}

/**
 * How often another replica is tried. A standby answers 503 and a frozen replica nothing; the next one is tried within
 * a second (design §6). Every other attempt follows almost at once: of two replicas, the Service then most likely
 * chooses the other one.
 */
const standbyAttempts = 40;

/** Resolves with an open socket to the leading replica. */
export async function dial<S extends Socket>(
  settings: DialSettings,
  ports: DialPorts<S>,
  signal: AbortSignal,
): Promise<S> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ports.openSocket(settings, signal);
    } catch (error) {
      if (!(error instanceof OtherReplicaError) || attempt >= standbyAttempts) throw error;
    }
    const { least, spread } = fixedTimes.link.standbyPauses[attempt % 2 === 1 ? 0 : 1];
    await delay(ports.clock, least + ports.random() * spread, signal);
  }
}

/** The replica cannot serve the agent; another one may. */
export class OtherReplicaError extends Error {}

export async function openWebSocket(settings: DialSettings, signal: AbortSignal): Promise<WebSocket> {
  const token = (await readFile(settings.tokenFile, 'utf8')).trim();
  const options: ClientOptions = {
    headers: { authorization: `Bearer ${token}` },
    handshakeTimeout: fixedTimes.link.handshake,
    maxPayload: webSocketMaxPayload,
    perMessageDeflate: false,
    // Masks keep a browser's script from choosing the bytes that a proxy sees (RFC 6455 §10.3). There is no script
    // here, and TLS hides all bytes. Masking would cost both sides more than encryption.
    ...(settings.url.startsWith('wss:') && { generateMask: (mask: Buffer) => mask.fill(0) }),
    minVersion: 'TLSv1.3',
    ...(settings.caFile !== undefined && { ca: await readFile(settings.caFile) }),
  };
  const socket = new WebSocket(settings.url, [subprotocol], options);
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      socket.terminate();
      reject(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const settled = () => signal.removeEventListener('abort', onAbort);
    socket.once('open', () => {
      settled();
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error) => {
      settled();
      reject(error.message === handshakeTimedOut ? new OtherReplicaError(error.message) : error);
    });
    socket.once('unexpected-response', (_request, response) => {
      settled();
      response.resume();
      reject(
        response.statusCode === 503
          ? new OtherReplicaError('the operator answered 503: no replica leads, or this one does not')
          : new Error(`the operator answered ${response.statusCode} ${response.statusMessage ?? ''}`.trim()),
      );
    });
  });
}
