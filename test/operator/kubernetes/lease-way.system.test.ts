// A leader keeps its Lease while all its other requests hang. The program runs as a user starts it, against an API
// server that answers only requests for the Lease.
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManagedProcess } from '../../../simulator/playground/managed-process.ts';
import { until } from '../../support/operator/fixture.ts';
import { ScriptedAgent } from '../../support/operator/scripted-agent.ts';

const program = fileURLToPath(new URL('../../../operator/main.ts', import.meta.url));
const agentCount = 64;

const notThere = { kind: 'Status', code: 404, reason: 'NotFound', details: { name: 'lcow-operator' } } as const;

/** Has empty lists and one Lease, and never answers requests for single hosts. */
class ReluctantApiServer {
  renewals = 0;
  hanging = 0;
  #lease: Record<string, unknown> | undefined;
  readonly #server = http.createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://api');
    const send = (code: number, body: object) =>
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (pathname.includes('/leases')) send(...(await this.#leaseAnswer(request)));
    else if (searchParams.has('watch')) response.writeHead(200).flushHeaders();
    else if (/\/linuxutilityvmhosts\/./.test(pathname)) this.hanging += 1;
    else send(200, { metadata: { resourceVersion: '1' }, items: [] });
  }

  async #leaseAnswer(request: http.IncomingMessage): Promise<[number, object]> {
    if (request.method !== 'GET') {
      this.renewals += 1;
      const body = (await json(request)) as { readonly metadata: object };
      const metadata = { ...body.metadata, resourceVersion: `${this.renewals}` };
      this.#lease = { ...body, metadata };
    }
    return this.#lease === undefined ? [404, notThere] : [200, this.#lease];
  }
}

let api: ReluctantApiServer;
let directory: string;
let operator: ManagedProcess;

beforeEach(async () => {
  api = new ReluctantApiServer();
  directory = await mkdtemp(join(tmpdir(), 'lease-way-'));
  const server = await api.start();
  const [kubeconfig, tokens] = [join(directory, 'kubeconfig'), join(directory, 'tokens.json')];
  const file = {
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(kubeconfig, JSON.stringify(file));
  const names = Array.from({ length: agentCount }, (_, index) => [tokenOf(index), `node-${index}`]);
  await writeFile(tokens, JSON.stringify(Object.fromEntries(names)));
  operator = new ManagedProcess({
    name: 'operator',
    script: program,
    arguments: [
      ...['--kubeconfig', kubeconfig, '--agent-tokens', tokens, '--bind-address', '127.0.0.1'],
      ...['--agents-port', '0', '--health-port', '0', '--api-port', '0'],
    ],
    logFile: join(directory, 'operator.log'),
  });
  await operator.start();
});

afterEach(async () => {
  await operator.stop();
  api.stop();
  await rm(directory, { recursive: true });
});

const tokenOf = (index: number) => `token-of-the-node-${index}`;

it('a leader renews the Lease while all connections for other requests wait for an answer', async () => {
  const port = await agentsPort();
  const agents = await Promise.all(
    Array.from({ length: agentCount }, async (_, index) => {
      const agent = new ScriptedAgent();
      await agent.connect(port, tokenOf(index));
      return agent;
    }),
  );
  // All connections for other requests are in use.
  await until(() => api.hanging >= 16);
  const before = api.renewals;
  await until(() => api.renewals >= before + 3, 12_000);
  expect(agents.every(({ isOpen }) => isOpen)).toBe(true);
  await Promise.all(agents.map((agent) => agent.disconnect()));
});

/** Resolves once the operator leads, according to its log. */
async function agentsPort(): Promise<number> {
  let log = '';
  await until(async () => {
    log = await readFile(join(directory, 'operator.log'), 'utf8');
    return log.includes('"msg":"leads"');
  });
  return Number(/"agents":(\d+)/.exec(log)?.[1]);
}
