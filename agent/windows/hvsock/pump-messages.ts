// What the main thread and the pump's thread say to each other. Numbers are chosen by the main thread for listeners and by
// the pump for connections.

/** How far the pump may run ahead on a connection until somebody reads it: many may wait for that. */
export const initialCredit = 16 << 10;

/** Bytes of one connection that may be on their way to the peer's buffers before a writer has to wait. */
export const writeAhead = 64 << 10;

/** Which step failed, and with what Winsock error. */
export interface SocketFailure {
  readonly step: 'socket' | 'bind' | 'listen' | 'accept' | 'recv' | 'send' | 'shutdown';
  /** WSAE… number. */
  readonly code: number;
}

export type ToPump =
  | { readonly type: 'listen'; readonly listener: number; readonly address: Uint8Array }
  | { readonly type: 'closeListener'; readonly listener: number }
  | { readonly type: 'write'; readonly connection: number; readonly bytes: Uint8Array }
  /** The reader took so many bytes. */
  | { readonly type: 'credit'; readonly connection: number; readonly bytes: number }
  /** No more is written after what was asked for before. */
  | { readonly type: 'shutdown'; readonly connection: number }
  | { readonly type: 'close'; readonly connection: number }
  | { readonly type: 'stop' };

export type FromPump =
  /** The pump runs; a datagram to this port of the loopback address wakes it. */
  | { readonly type: 'ready'; readonly wakePort: number }
  | { readonly type: 'listening'; readonly listener: number }
  | { readonly type: 'listenFailed'; readonly listener: number; readonly failure: SocketFailure }
  | { readonly type: 'listenerClosed'; readonly listener: number }
  | { readonly type: 'accepted'; readonly listener: number; readonly connection: number }
  | { readonly type: 'data'; readonly connection: number; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The peer writes no more. */
  | { readonly type: 'end'; readonly connection: number }
  /** So many bytes more were handed over. */
  | { readonly type: 'written'; readonly connection: number; readonly bytes: number }
  | { readonly type: 'broken'; readonly connection: number; readonly failure: SocketFailure };
