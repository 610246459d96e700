// Connects a simulated guest to its host. Without a listener the connection is refused, even if a socket file was left
// behind.
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * A connection allows half-close, and never emits `error` without a listener: its users see every end by `close`.
 */
export type Dial = (port: number) => Promise<Duplex | 'refused'>;

export function dialPath(path: string): Promise<Duplex | 'refused'> {
  return new Promise((resolve) => {
    const socket = connect({ path, allowHalfOpen: true });
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // Every user of the socket sees its end by `close`. An error without a listener would end the node.
      socket.on('error', () => {});
      resolve(socket);
    });
    socket.once('error', () => resolve('refused'));
  });
}
