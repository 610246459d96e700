// What the channel and the two ends of a session use of an open WebSocket. `ws` implements it, and so does the network
// of the simulation.
import type { RawData } from 'ws';

export interface Socket {
  /** As in `ws`: 1 is open. */
  readonly readyState: number;
  readonly isPaused: boolean;
  on(event: 'message', listener: (data: RawData, isBinary: boolean) => void): unknown;
  on(event: 'ping' | 'pong', listener: (data: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
  once(event: 'close', listener: () => void): unknown;
  off(event: 'message', listener: (data: RawData, isBinary: boolean) => void): unknown;
  /** Hands a received frame to the listeners again. */
  emit(event: 'message', data: RawData, isBinary: boolean): unknown;
  /** `sent` is called when the frame was written, or with an error when it cannot be. */
  send(data: string | Buffer, sent: (error?: Error) => void): void;
  ping(): void;
  pong(data: Buffer, mask: undefined, sent: (error?: Error) => void): void;
  /** Stops reading. */
  pause(): void;
  resume(): void;
  /** Begins the closing handshake. */
  close(code: number, reason: string): void;
  /** Disconnects at once. */
  terminate(): void;
}

/** The ready state of an open socket. */
export const openState = 1;
