// The baseline for memory: a TLS server with `ws` that keeps connections and sends pings, and nothing else. The bench
// starts it with a channel, over which it gets its certificate and says its port.
import { createServer } from 'node:https';
import { WebSocketServer } from 'ws';
import { z } from 'zod';

const pingMilliseconds = 10_000;

const settings = z.object({ cert: z.string(), key: z.string() });

process.once('message', (message) => {
  const server = createServer({ ...settings.parse(message), minVersion: 'TLSv1.3' });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('message', () => undefined);
    socket.on('error', () => socket.terminate());
  });
  setInterval(() => {
    for (const socket of sockets.clients) socket.ping();
  }, pingMilliseconds);
  server.listen(0, '127.0.0.1', 8_192, () => {
    const address = server.address();
    process.send?.({ port: typeof address === 'object' ? address?.port : undefined });
  });
});
process.on('disconnect', () => process.exit());
