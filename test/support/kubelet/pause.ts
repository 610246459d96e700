// Holds the network namespace of a pod or a node, like the pause container, and connects it with the outside: `pause.ts
// IN OUT` with two Unix sockets. A connection to IN begins with a port and is passed to that port in this namespace.
// This process listens on the addresses of Services; a connection to one of them is passed to OUT and begins with that
// address.
import { connect, createServer, type Server } from 'node:net';
import { z } from 'zod';
import { dialLine, join, serveLines } from './sockets.ts';

const wish = z.object({ listen: z.array(z.string()) });
const [inward = '', outward = ''] = process.argv.slice(2);
const listeners = new Map<string, Server>();

function listenAt(address: string): Server {
  const [host = '', port = ''] = address.split(':');
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    dialLine(outward, address).then(
      (outside) => join(socket, outside),
      () => socket.destroy(),
    );
  });
  // A port that a program of the pod uses stays that program's.
  server.on('error', () => listeners.delete(address));
  return server.listen(Number(port), host);
}

process.on('message', (message) => {
  const wanted = new Set(wish.parse(message).listen);
  for (const [address, server] of listeners) {
    if (wanted.has(address)) continue;
    server.close();
    listeners.delete(address);
  }
  for (const address of wanted) if (!listeners.has(address)) listeners.set(address, listenAt(address));
});
process.on('disconnect', () => process.exit(0));

await serveLines(inward, (port, socket) => {
  join(socket, connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true }));
});
process.send?.('ready');
