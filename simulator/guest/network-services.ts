// The programs of a simulated guest that listen on vsock ports: one returns what it reads, one speaks HTTP.
import http from 'node:http';
import type { Duplex } from 'node:stream';

const servicePorts = { echo: 7, http: 80 } as const;

/** Answers each request with the name of the VM and what was asked. */
export class NetworkServices {
  readonly #http: http.Server;

  constructor(systemId: string) {
    this.#http = http.createServer((request, response) => {
      request.resume();
      response.setHeader('content-type', 'text/plain; charset=utf-8');
      response.end(`Hello from the simulated guest of ${systemId}: ${request.method} ${request.url}\n`);
    });
  }

  /** Undefined when no program listens on the port. */
  on(port: number): ((connection: Duplex) => void) | undefined {
    switch (port) {
      case servicePorts.echo:
        return (connection) => void connection.pipe(connection);
      case servicePorts.http:
        return (connection) => void this.#http.emit('connection', connection);
      default:
        return undefined;
    }
  }
}
