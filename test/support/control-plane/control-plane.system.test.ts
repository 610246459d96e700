import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type ControlPlane, startControlPlane, useCluster } from './control-plane.ts';
import { kubectl, runKubectl } from './kubectl.ts';

const timeout = 90_000;

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Command lines of processes that have `directory` in their arguments. */
async function processesOf(directory: string): Promise<string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commandLines = await Promise.all(ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')));
  return commandLines.filter((commandLine) => commandLine.includes(directory));
}

describe('a control plane', () => {
  test('keeps its objects through outages of its API server, and leaves nothing behind', { timeout }, async () => {
    const controlPlane = await startControlPlane();
    try {
      await kubectl(controlPlane, ['create', 'configmap', 'kept', '--from-literal=a=b']);
      await expectFrozen(controlPlane);
      await expectAway(controlPlane);
      await controlPlane.apiServer.start();
      expect(await kubectl(controlPlane, ['get', 'configmap', 'kept', '-o', 'name'])).toBe('configmap/kept\n');
      await expectLikeCluster(controlPlane);
      await expectUsableByKubeconfig(controlPlane);
    } finally {
      await controlPlane.stop();
    }
    expect(await exists(controlPlane.directory)).toBe(false);
    await expect.poll(() => processesOf(controlPlane.directory)).toEqual([]);
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)('ends with its starter on %s', { timeout }, async (signal) => {
    const starter = spawn(process.execPath, [fileURLToPath(new URL('./main.ts', import.meta.url))], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(starter, 'close');
    try {
      const directory = dirname(await firstLine(starter));
      // Three servers, a shell beside each, and the shell that removes the folder.
      expect(await processesOf(directory)).toHaveLength(7);
      starter.kill(signal);
      await ended;
      await expect.poll(() => processesOf(directory), { timeout: 30_000 }).toEqual([]);
      expect(await exists(directory)).toBe(false);
    } finally {
      starter.kill('SIGKILL');
    }
  });
});

async function expectFrozen(controlPlane: ControlPlane): Promise<void> {
  controlPlane.apiServer.pause();
  const request = ['get', '--raw', '/readyz', '--request-timeout=1s'];
  expect((await runKubectl(controlPlane, request)).stderr).toMatch(/[Tt]imeout|deadline/);
  controlPlane.apiServer.resume();
  expect(await kubectl(controlPlane, ['get', '--raw', '/readyz'])).toBe('ok');
}

async function expectAway(controlPlane: ControlPlane): Promise<void> {
  await controlPlane.apiServer.kill();
  expect((await runKubectl(controlPlane, ['get', '--raw', '/readyz'])).stderr).toContain('refused');
}

/** Checks that tokens are bound, RBAC decides, and deleted namespaces disappear: the controllers work. */
async function expectLikeCluster(controlPlane: ControlPlane): Promise<void> {
  expect(await kubectl(controlPlane, ['create', 'token', 'default', '--audience=lcow-operator'])).toMatch(/^ey/);
  const asNobody = ['auth', 'can-i', 'get', 'pods', '--as=nobody'];
  expect((await runKubectl(controlPlane, asNobody)).stdout).toBe('no\n');
  await kubectl(controlPlane, ['create', 'namespace', 'passing']);
  await kubectl(controlPlane, ['delete', 'namespace', 'passing', '--timeout=30s']);
}

async function expectUsableByKubeconfig(controlPlane: ControlPlane): Promise<void> {
  const cluster = await useCluster(controlPlane.kubeconfigPath);
  expect(cluster.server).toBe(controlPlane.server);
  expect(await kubectl(cluster, ['get', '--raw', '/readyz'])).toBe('ok');
  await cluster.stop();
  expect(await kubectl(controlPlane, ['get', '--raw', '/readyz'])).toBe('ok');
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout !== null) for await (const line of createInterface(stdout)) return line;
  throw new Error('ended without a word');
}
