// Connects a simulated guest to its host. Without a listener the connection is refused, even if a socket file was left
// behind.
import { connect, type Socket } from 'node:net';

export type Dial = (port: number) => Promise<Socket | 'refused'>;

export function dialPath(path: string): Promise<Socket | 'refused'> {
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
