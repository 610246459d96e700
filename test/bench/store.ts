// Resident memory of an operator with a large fleet: every VM has a full status, twenty log lines and eight labels, as
// the API server lists them, managed fields included. A scripted API server serves them, so that only the operator is
// measured.
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { ManagedProcess } from '../../simulator/playground/managed-process.ts';
import { storedMachine } from './store-objects.ts';

const patienceMilliseconds = 120_000;
const settleMilliseconds = 20_000;
export const promisedMebibytes = 260;

export interface StoreFigure {
  readonly machines: number;
  /** The size of one VM as the API server sends it. */
  readonly bytesEach: number;
  /** Some time after the list, while the operator leads. */
  readonly mebibytes: number;
  readonly peakMebibytes: number;
}

export async function benchStore(machines: number): Promise<StoreFigure> {
  const directory = await mkdtemp(join(tmpdir(), 'store-'));
  await using server = await CollectionServer.start(machines);
  await writeFile(join(directory, 'kubeconfig'), server.kubeconfig);
  await writeFile(join(directory, 'tokens.json'), '{}');
  const program = new ManagedProcess({
    name: 'operator',
    script: fileURLToPath(new URL('../../operator/main.ts', import.meta.url)),
    arguments: [
      ['--kubeconfig', join(directory, 'kubeconfig'), '--agent-tokens', join(directory, 'tokens.json')],
      ['--bind-address', '127.0.0.1', '--agents-port', '0', '--health-port', '0'],
    ].flat(),
    logFile: join(directory, 'operator.log'),
  });
  await program.start();
  try {
    const deadline = Date.now() + patienceMilliseconds;
    while (!server.watched) {
      if (Date.now() > deadline) throw new Error(`the operator did not list ${machines} VMs`);
      await sleep(100);
    }
    await sleep(settleMilliseconds);
    if (server.writes > 0) throw new Error('the operator wrote, though nothing had changed');
    const log = await readFile(join(directory, 'operator.log'), 'utf8');
    if (!log.includes('"msg":"leads"')) throw new Error('the operator did not come to lead');
    const status = await readFile(`/proc/${program.pid}/status`, 'utf8');
    const mebibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
    const bytesEach = JSON.stringify(storedMachine(0)).length;
    return { machines, bytesEach, mebibytes: mebibytes('VmRSS'), peakMebibytes: mebibytes('VmHWM') };
  } finally {
    await program.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Lists page by page, and keeps watches open. Every claim of the Lease succeeds. */
class CollectionServer implements AsyncDisposable {
  watched = false;
  /** Writes of anything except Leases. */
  writes = 0;
  #version = 1_000_000;
  readonly #server: http.Server;
  readonly #machines: number;

  private constructor(machines: number) {
    this.#machines = machines;
    this.#server = http.createServer((request, response) => this.#answer(request, response));
  }

  static async start(machines: number): Promise<CollectionServer> {
    const server = new CollectionServer(machines);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get kubeconfig(): string {
    const server = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return JSON.stringify({
      clusters: [{ name: 'bench', cluster: { server } }],
      users: [{ name: 'bench', user: {} }],
      contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
      'current-context': 'bench',
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Stores Leases as requested. Nothing else must be written. */
  async #write(request: http.IncomingMessage, response: http.ServerResponse, pathname: string): Promise<void> {
    const lease = z.looseObject({ metadata: z.looseObject({}) }).parse(JSON.parse(await text(request)));
    if (!pathname.includes('/leases')) this.writes += 1;
    this.#version += 1;
    json(response, 200, { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.#version) } });
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    const isMachines = pathname.endsWith('/linuxutilityvms');
    if (searchParams.has('watch')) {
      if (isMachines) this.watched = true;
      response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      return;
    }
    if (request.method !== 'GET') {
      void this.#write(request, response, pathname);
      return;
    }
    if (pathname.includes('/leases')) {
      const details = { name: 'lcow-operator' };
      json(response, 404, { kind: 'Status', code: 404, reason: 'NotFound', message: 'no Lease yet', details });
      return;
    }
    const start = Number(searchParams.get('continue') ?? 0);
    const end = Math.min(isMachines ? this.#machines : 0, start + Number(searchParams.get('limit') ?? this.#machines));
    const items = Array.from({ length: Math.max(0, end - start) }, (_, index) => storedMachine(start + index));
    const next = isMachines && end < this.#machines ? String(end) : '';
    json(response, 200, { metadata: { resourceVersion: '1000000', continue: next }, items });
  }
}

function json(response: http.ServerResponse, code: number, body: object): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
