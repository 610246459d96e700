// The dashboard as a person has it: a program at a terminal, on a real API server. No operator runs; the test writes what
// one would.
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { restartedAtAnnotation } from '../../../crds/names.ts';
import { ClusterApi } from '../../support/control-plane/cluster-api.ts';
import type { ProvidedCluster } from '../../support/control-plane/shared.ts';
import { sharedCluster } from '../../support/control-plane/shared-cluster.ts';
import { PseudoTerminal } from '../../support/kubectl/pseudo-terminal.ts';

const program = fileURLToPath(new URL('../../../kubectl/main.ts', import.meta.url));
const group = '/apis/lcow.dev/v1alpha1';
const namespace = `dashboard-${randomUUID().slice(0, 8)}`;
const machines = `${group}/namespaces/${namespace}/linuxutilityvms`;
const lastTransitionTime = '2026-11-30T12:00:00Z';

let cluster: ProvidedCluster;
let api: ClusterApi;

beforeAll(async () => {
  cluster = await sharedCluster();
  api = new ClusterApi(cluster.kubeconfigPath, 'test');
  await api.send('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await create('web-1', { app: 'web' });
  await create('web-2', { app: 'web' });
  await create('db');
  await report('web-1', 'Running', 'True', 'Running');
  await report('web-2', 'Failed', 'False', 'BootTimeout', 'the guest did not answer for 5 min');
});

afterAll(() => api.send('DELETE', `/api/v1/namespaces/${namespace}`));

function create(name: string, labels = {}): Promise<unknown> {
  const about = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM' };
  return api.send('POST', machines, { ...about, metadata: { name, labels }, spec: {} });
}

function report(name: string, phase: string, status: string, reason: string, message = ''): Promise<unknown> {
  const conditions = [{ type: 'Ready', status, reason, message, lastTransitionTime }];
  return api.send('PATCH', `${machines}/${name}/status`, { status: { phase, conditions } });
}

function dashboard(...flags: readonly string[]): PseudoTerminal {
  const command = [process.execPath, program, 'dashboard', `--kubeconfig=${cluster.kubeconfigPath}`, ...flags];
  return new PseudoTerminal({ command });
}

const rowOf = (terminal: PseudoTerminal, name: string) =>
  terminal.lines.find((line) => line.includes(` ${name} `)) ?? '';

describe('kubectl luvm dashboard', () => {
  it('shows the VMs of the namespace as they change, and leaves the terminal as it was', async () => {
    await using terminal = dashboard(`--namespace=${namespace}`);
    await terminal.until('all VMs', ({ text }) => text.includes('[1 VMs 3]') && text.includes('db'));
    expect(terminal.lines[0]).toBe(`lcow  namespace ${namespace}   1 wrong, 1 unknown, 1 running`);
    expect(terminal.lines.slice(3, 6).map((line) => line.slice(0, 20).trim())).toEqual([
      expect.stringMatching(/^>! +web-2 +Failed/),
      expect.stringMatching(/^\? +db +Pending/),
      expect.stringMatching(/^web-1 +Running/),
    ]);
    expect(terminal.text).toContain(`${namespace}/web-2: BootTimeout: the guest did not answer for 5 min`);
    await report('web-2', 'Running', 'True', 'Running');
    await terminal.until('it runs', (now) => /^ +web-2 +Running/.test(rowOf(now, 'web-2').replace('>', ' ')));
    await create('late');
    await terminal.until('a new one', ({ text }) => text.includes('late'));
    await api.send('DELETE', `${machines}/late`);
    await terminal.until('it is gone', ({ text }) => text.includes('[1 VMs 3]') && !text.includes('late'));
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
    expect(terminal.isAlternate).toBe(false);
  });

  it('leaves the terminal as it was when it is killed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dashboard-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const pidFile = join(folder, 'pid');
    const inner = `echo $$ > ${pidFile}; exec "$@"`;
    const outer = `sh -c '${inner}' sh "$@"; echo "ended with $?"; stty -a`;
    const words = [process.execPath, program, 'dashboard', `--kubeconfig=${cluster.kubeconfigPath}`];
    await using terminal = new PseudoTerminal({ command: ['sh', '-c', outer, 'sh', ...words] });
    await terminal.until('the dashboard', ({ isAlternate, text }) => isAlternate && text.includes('[1 VMs'));
    process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGTERM');
    expect(await terminal.ended()).toBe(0);
    expect(terminal.isAlternate).toBe(false);
    expect(terminal.text).toContain('ended with 143');
    expect(terminal.text).toContain(' icanon');
  });

  it('chooses by labels and by a filter, and restarts the chosen VM after a yes', async () => {
    await using terminal = dashboard(`--namespace=${namespace}`, '--selector=app=web');
    await terminal.until('both', ({ text }) => text.includes('[1 VMs 2]'));
    terminal.type('/web-1\rr');
    await terminal.until('the question', ({ text }) => text.includes('y: yes, any other key: no'));
    terminal.type('y');
    await terminal.until('the answer', (now) => !now.isAlternate && now.text.includes('any key: back'));
    expect(terminal.text).toContain('restarted');
    const { metadata } = z
      .looseObject({ metadata: z.looseObject({ annotations: z.record(z.string(), z.string()) }) })
      .parse(await api.send('GET', `${machines}/web-1`));
    expect(metadata.annotations).toHaveProperty([restartedAtAnnotation]);
    terminal.type(' ');
    await terminal.until('back', (now) => now.isAlternate && now.text.includes('filter: web-1 (1)'));
    terminal.type('\x03');
    expect(await terminal.ended()).toBe(0);
  });

  it('shows what another command said when it failed', async () => {
    await using terminal = dashboard(`--namespace=${namespace}`);
    await terminal.until('all VMs', ({ text }) => text.includes('[1 VMs 3]'));
    for (const key of 'le') {
      terminal.type(key);
      await terminal.until('the error', (now) => !now.isAlternate && now.text.includes('any key: back'));
      expect(terminal.text.replaceAll('\n', '')).toContain('does not serve the aggregated API');
      terminal.type('\r');
      await terminal.until('back', (now) => now.isAlternate && now.text.includes('[1 VMs 3]'));
    }
  });

  it('says what the user may not see, and shows the rest', async () => {
    await using terminal = dashboard('--all-namespaces', '--as=nobody-at-all');
    await terminal.until('a refusal', ({ text }) => text.includes('VMs cannot be read'));
    expect(terminal.text.replaceAll('\n', '')).toContain('cannot list resource');
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
  });

  it('needs a terminal', async () => {
    const command = ['sh', '-c', `"$0" "$@" < /dev/null`, process.execPath, program, 'dashboard'];
    await using terminal = new PseudoTerminal({ command: [...command, `--kubeconfig=${cluster.kubeconfigPath}`] });
    expect(await terminal.ended()).toBe(1);
    expect(terminal.text.replaceAll('\n', '')).toContain('the dashboard needs a terminal');
  });
});
