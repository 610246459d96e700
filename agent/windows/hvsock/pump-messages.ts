// The messages between the main thread and the pump's thread. The main thread assigns the numbers of listeners and dials,
// the pump those of connections.

/**
 * How far the pump reads ahead on a connection before somebody reads from it. Small, because many connections may be
 * waiting.
 */
export const initialCredit = 16 << 10;

/** Bytes of one connection that may be on the way to the peer before a writer has to wait. */
export const writeAhead = 64 << 10;

/** The step that failed, and its Winsock error. */
export interface SocketFailure {
  readonly step: 'socket' | 'bind' | 'listen' | 'accept' | 'connect' | 'recv' | 'send' | 'shutdown';
  /** A WSAE… number. */
  readonly code: number;
}

export type ToPump =
  | { readonly type: 'listen'; readonly listener: number; readonly address: Uint8Array }
  | { readonly type: 'closeListener'; readonly listener: number }
  | { readonly type: 'dial'; readonly dial: number; readonly address: Uint8Array }
  /** Nobody waits for the dial any more. It may be connected already. */
  | { readonly type: 'cancelDial'; readonly dial: number }
  | { readonly type: 'write'; readonly connection: number; readonly bytes: Uint8Array }
  /** The reader took this many bytes. */
  | { readonly type: 'credit'; readonly connection: number; readonly bytes: number }
  /** Nothing is written after the writes before this message. */
  | { readonly type: 'shutdown'; readonly connection: number }
  | { readonly type: 'close'; readonly connection: number }
  | { readonly type: 'stop' };

export type FromPump =
  /** The pump runs. A datagram to this port of the loopback address wakes it. */
  | { readonly type: 'ready'; readonly wakePort: number }
  | { readonly type: 'listening'; readonly listener: number }
  | { readonly type: 'listenFailed'; readonly listener: number; readonly failure: SocketFailure }
  | { readonly type: 'listenerClosed'; readonly listener: number }
  | { readonly type: 'accepted'; readonly listener: number; readonly connection: number }
  | { readonly type: 'dialled'; readonly dial: number; readonly connection: number }
  | { readonly type: 'dialFailed'; readonly dial: number; readonly failure: SocketFailure }
  | { readonly type: 'data'; readonly connection: number; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The peer writes no more. */
  | { readonly type: 'end'; readonly connection: number }
  /** This many more bytes were written to the socket. */
  | { readonly type: 'written'; readonly connection: number; readonly bytes: number }
  | { readonly type: 'broken'; readonly connection: number; readonly failure: SocketFailure };
