// The program as a user starts it.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const program = fileURLToPath(new URL('../../operator/main.ts', import.meta.url));
const operations = fileURLToPath(new URL('../../docs/operations.md', import.meta.url));
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lcow-operator-'));
  await writeFile(join(directory, 'tokens.yaml'), 'token-of-node-a-1: node-a\n');
  const kubeconfig = {
    clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:1', 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'u', user: { token: 'secret-of-the-operator' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(join(directory, 'kubeconfig'), JSON.stringify(kubeconfig));
});

afterAll(() => rm(directory, { recursive: true }));

function start(
  ...flags: readonly string[]
): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  return spawn(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function end(child: ReturnType<typeof start>) {
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { stdout, stderr, code };
}

const listening = z.object({ msg: z.literal('listening'), health: z.number(), metrics: z.number() });

describe('lcow-operator', () => {
  it('prints its flags, and what is wrong with given ones', async () => {
    const help = await end(start('--help'));
    expect(help.code).toBe(0);
    for (const flag of ['--kubeconfig', '--agent-tokens', '--tls-certificate', '--health-port']) {
      expect(help.stdout).toContain(flag);
    }
    const tokens = ['--agent-tokens', join(directory, 'tokens.yaml'), '--kubeconfig', join(directory, 'kubeconfig')];
    const open = await end(start(...tokens));
    expect(open).toMatchObject({ code: 1, stderr: expect.stringContaining('need TLS') });
    const half = await end(start(...tokens, '--tls-key', 'x'));
    expect(half).toMatchObject({ code: 1, stderr: expect.stringContaining('belong together') });
    const readers = await end(start(...tokens, '--bind-address', '127.0.0.1', '--metrics-port', '0'));
    expect(readers).toMatchObject({ code: 1, stderr: expect.stringContaining('--metrics-port needs readers') });
    const missing = await end(start('--agent-tokens', 'x', '--bind-address', '::1', '--kubeconfig', '/no/such/file'));
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/^lcow-operator: .*no.such.file/) });
    expect((await end(start(...tokens, '--agents-port', 'many'))).stderr).toContain('must be a number');
  });

  it('runs without an API server, is not ready, has the documented metrics, logs no secrets, and stops when asked', async () => {
    const child = start(
      ...['--kubeconfig', join(directory, 'kubeconfig'), '--agent-tokens', join(directory, 'tokens.yaml')],
      ...['--bind-address', '127.0.0.1', '--agents-port', '0', '--health-port', '0', '--log-level', 'debug'],
      ...['--metrics-port', '0', '--metrics-anonymous'],
    );
    const lines: string[] = [];
    let [health, network] = [0, 0];
    for await (const line of createInterface(child.stdout)) {
      lines.push(line);
      const parsed = listening.safeParse(JSON.parse(line));
      if (parsed.success) {
        [health, network] = [parsed.data.health, parsed.data.metrics];
        break;
      }
    }
    expect((await fetch(`http://127.0.0.1:${health}/healthz`)).status).toBe(200);
    const ready = await fetch(`http://127.0.0.1:${health}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, 'not listed yet: machines, hosts, nodes, sets']);
    expect((await fetch(`http://127.0.0.1:${health}/other`)).status).toBe(404);
    // Here metrics have their own port, and the port for health serves nothing else.
    expect((await fetch(`http://127.0.0.1:${health}/metrics`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${network}/healthz`)).status).toBe(404);
    const metrics = await (await fetch(`http://127.0.0.1:${network}/metrics`)).text();
    const documented = (await readFile(operations, 'utf8')).matchAll(/^\| `(lcow_\w+)/gm);
    const names = [...documented].map(([, name]) => name ?? '');
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !metrics.includes(`# TYPE ${name} `))).toEqual([]);
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    expect(lines.join('\n')).not.toContain('secret-of-the-operator');
  });
});
