// One connection of a local program through the aggregated API to a port of a guest. Each side waits for the other: a
// chunk is read from the local program when the network has taken the one before, and the WebSocket is not read while
// the local program does not read. Each direction ends separately.
import type { Socket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import { channels } from '../../protocol/subresources.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { parseStatus } from '../channel-session.ts';

export type TunnelEnd =
  /** Both directions have ended. */
  | { readonly kind: 'ended' }
  /** The local program has closed its connection. */
  | { readonly kind: 'left' }
  | { readonly kind: 'failed'; readonly problem: string; readonly message: string }
  /** The connection to the API server ended without an explanation. */
  | { readonly kind: 'lost' };

/** The operator disconnects who answers none of its pings for 80 s. While nothing is read, none is answered. */
const signOfLifeMilliseconds = 15_000;
const closeMilliseconds = 5_000;

/** @param remote open, and nothing was received on it yet @param local paused */
export function tunnel(remote: WebSocket, local: Socket, clock: Clock): Promise<TunnelEnd> {
  let end: TunnelEnd = { kind: 'lost' };
  const life = new SignsOfLife(remote, clock);
  const closed = new Promise<void>((resolve) => remote.once('close', () => resolve()));
  remote.on('error', () => remote.terminate());
  remote.on('message', (data: RawData, isBinary) => {
    if (!isBinary || !Buffer.isBuffer(data)) return;
    const bytes = data.subarray(1);
    if (data[0] === channels.stdout) receive(bytes);
    else if (data[0] === channels.close && bytes[0] === channels.stdout) local.end();
    else if (data[0] === channels.status) end = endOf(bytes) ?? end;
  });
  const receive = (bytes: Buffer) => {
    if (local.destroyed || local.write(bytes)) return;
    remote.pause();
    life.begin();
  };
  local.on('drain', () => {
    life.end();
    remote.resume();
  });
  local.on('error', () => undefined);
  local.on('data', (chunk) => {
    local.pause();
    send(remote, channels.stdin, chunk, () => local.resume());
  });
  local.once('end', () => send(remote, channels.close, Buffer.of(channels.stdin)));
  local.once('close', () => {
    if (end.kind === 'lost' && remote.readyState === remote.OPEN) end = { kind: 'left' };
    life.end();
    // The closing handshake needs a reader.
    remote.resume();
    remote.close(1000);
    clock.after(closeMilliseconds, () => remote.terminate());
  });
  remote.resume();
  local.resume();
  return closed.then(() => {
    life.end();
    // Data that was cut off must not look complete.
    if (end.kind === 'ended') local.destroySoon();
    else local.resetAndDestroy();
    return end;
  });
}

function send(remote: WebSocket, channel: number, bytes: Buffer, sent: () => void = () => undefined): void {
  if (remote.readyState === remote.OPEN) remote.send(Buffer.concat([Buffer.of(channel), bytes]), () => sent());
}

function endOf(status: Buffer): TunnelEnd | undefined {
  const said = parseStatus(status);
  if (said?.type === 'exited') return { kind: 'ended' };
  return said?.type === 'failed' ? { kind: 'failed', problem: said.problem, message: said.message } : undefined;
}

/** Unasked answers to pings, while the WebSocket is not read. */
class SignsOfLife {
  readonly #remote: WebSocket;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(remote: WebSocket, clock: Clock) {
    this.#remote = remote;
    this.#clock = clock;
  }

  begin(): void {
    this.#timer ??= this.#clock.after(signOfLifeMilliseconds, () => {
      this.#timer = undefined;
      if (this.#remote.readyState !== this.#remote.OPEN) return;
      this.#remote.pong();
      this.begin();
    });
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
