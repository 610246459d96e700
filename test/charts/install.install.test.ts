// The charts as a user installs them, from the first command to the last. The programs run as their pods say: with the
// chart's arguments, environment, ServiceAccount and rights, with projected tokens, and through Services.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadClusterAccess } from '../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../operator/kubernetes/http.ts';
import { parseHost } from '../../operator/kubernetes/objects.ts';
import { versionNow, watch } from '../../operator/kubernetes/watch.ts';
import { systemClock } from '../../runtime/clock.ts';
import { chartFolder, helm } from '../support/charts/helm.ts';
import { inventory } from '../support/charts/inventory.ts';
import { chartArguments, type Rendering } from '../support/charts/rendered.ts';
import { PluginProgram } from '../support/kubectl/plugin-program.ts';
import { RunningCluster } from '../support/kubelet/cluster.ts';

const machine = z.object({
  spec: z.object({ terminateOnAgentExit: z.boolean().optional() }),
  status: z.object({ runtimeID: z.string(), restarts: z.number().default(0) }),
});

let cluster: RunningCluster;
let before: readonly string[];
const $ = (line: string, input?: string) => cluster.$(line, input);
const deploy = (verb: 'install' | 'upgrade', rendering: Rendering) =>
  cluster.helm([verb, ...chartArguments(rendering), '--wait', '--timeout', '60s']);
const withoutKeeping = ['crds.keep=false'];

beforeAll(async () => {
  cluster = await RunningCluster.start();
  await $('create namespace lcow-system');
  await $('label namespace lcow-system pod-security.kubernetes.io/enforce=privileged');
  before = await inventory(cluster.controlPlane);
}, 900_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

it('the charts pass helm lint without a finding', async () => {
  for (const chart of ['lcow-operator', 'lcow-agent']) {
    expect(await helm(['lint', '--strict', chartFolder(chart)])).toContain('0 chart(s) failed');
  }
});

it('helm install --wait ends once the programs are ready', async () => {
  await deploy('install', { chart: 'lcow-operator', set: withoutKeeping });
  await deploy('install', { chart: 'lcow-agent' });
  expect(await $('get deployment lcow-operator -n lcow-system -o jsonpath={.status.readyReplicas}')).toBe('2');
  expect(await $('get daemonset lcow-agent -n lcow-system -o jsonpath={.status.numberReady}')).toBe('2');
  await $('wait --for=condition=Connected luvmhost --all --timeout=30s');
  await $('wait --for=condition=Available apiservice/v1alpha1.subresources.lcow.dev --timeout=30s');
  const nodes = await $('get pods -n lcow-system -l app.kubernetes.io/name=lcow-operator -o jsonpath={..nodeName}');
  expect(nodes.split(' ').sort()).toEqual(['linux-a', 'linux-b']);
});

it.each(['lcow-operator', 'lcow-agent'])('helm test %s succeeds', async (chart) => {
  const said = await cluster.helm(['test', chart, '--namespace', 'lcow-system', '--timeout', '60s']);
  expect(said).toMatch(/Phase: +Succeeded/);
});

describe('VMs', () => {
  it('run', async () => {
    await $('create -f -', vm('ends-with-agent', {}));
    await $('create -f -', vm('outlives-agent', { terminateOnAgentExit: false }));
    await $('wait --for=condition=Ready luvm --all --timeout=30s');
  });

  it('are not confused with the resource whose subresources the operator serves', async () => {
    expect(await $('get linuxutilityvms -o name')).toContain('linuxutilityvm.lcow.dev/outlives-agent\n');
    expect(await $('get linuxutilityvm outlives-agent -o name')).toBe('linuxutilityvm.lcow.dev/outlives-agent\n');
    expect(await $('api-resources -o name')).not.toContain('linuxutilityvms.subresources.lcow.dev');
  });

  it('let kubectl show who can use their subresources', async () => {
    for (const role of ['view', 'edit']) await $(`create rolebinding ${role} --clusterrole=${role} --user=${role}`);
    for (const [role, verb, subresource, answer] of [
      ['view', 'get', 'log', 'yes'],
      ['view', 'create', 'exec', 'no'],
      ['edit', 'create', 'exec', 'yes'],
    ] as const) {
      for (const resource of ['luvm', 'linuxutilityvms.subresources.lcow.dev']) {
        const line = `auth can-i ${verb} ${resource} --subresource=${subresource} --as=${role}`;
        await expect.poll(async () => (await cluster.attempt(line)).stdout, { timeout: 20_000 }).toBe(`${answer}\n`);
      }
    }
    await $('delete rolebinding view edit');
  });

  it.each(['leads', 'stands by'])('can be reached through the replica that %s', async (which) => {
    const pods = (await $(`get pods -n lcow-system ${selectedOperator} -o jsonpath={..metadata.name}`)).split(' ');
    const holder = await $('get lease lcow-operator -n lcow-system -o jsonpath={.spec.holderIdentity}');
    const [asked = ''] = pods.filter((pod) => holder.startsWith(pod) === (which === 'leads'));
    await $(`label pod ${asked} -n lcow-system asked=yes`);
    await selectPods({ asked: 'yes' });
    const address = await $(`get pod ${asked} -n lcow-system -o jsonpath={.status.podIP}`);
    await expect.poll(endpoints, { timeout: 10_000 }).toBe(address);
    const folder = await mkdtemp(join(tmpdir(), 'plugin-'));
    try {
      const plugin = await PluginProgram.install(cluster.controlPlane, folder);
      const words = ['outlives-agent', '--namespace', 'default'];
      const shell = await plugin.run('exec', ...words, '--', 'sh', '-c', 'exit 7');
      expect(shell).toEqual({ code: 7, stdout: '', stderr: '' });
      expect(await plugin.run('logs', ...words)).toMatchObject({ code: 0, stdout: expect.stringContaining('GCS') });
    } finally {
      await rm(folder, { recursive: true, force: true });
      await $(`label pod ${asked} -n lcow-system asked-`);
      await selectPods({ asked: null });
    }
    await expect.poll(async () => (await endpoints()).split(' ').length, { timeout: 10_000 }).toBe(2);
  });

  it('are not affected by an upgrade of the operator', async () => {
    const running = await machines();
    const pods = await operatorPods();
    await deploy('upgrade', { chart: 'lcow-operator', set: [...withoutKeeping, 'logLevel=debug'] });
    expect(new Set([...pods, ...(await operatorPods())]).size).toBe(4);
    await $('wait --for=condition=Connected luvmhost --all --timeout=30s');
    expect(await machines()).toEqual(running);
  });

  it('are left alone by an upgrade of the agents, whose pods wait to be deleted', async () => {
    const before = await agentPods();
    const running = await machines();
    const args = ['upgrade', ...chartArguments({ chart: 'lcow-agent', set: ['podLabels.upgraded=yes'] })];
    const patient = await cluster.runHelm([...args, '--wait', '--timeout', '3s']);
    // Helm's default wait counts only pods of the new version. docs/install.md has an alternative.
    expect(patient).toMatchObject({ code: 1, stderr: expect.stringContaining('lcow-agent') });
    const notes = await cluster.helm([...args, '--wait=legacy', '--timeout', '60s']);
    expect(notes).toMatch(/These VMs will be stopped when the agent of their node is replaced[^\n]*:\n {2}win-\S+: /);
    expect(await agentPods()).toEqual(before);
    expect(await machines()).toEqual(running);
  });

  it('end with their agents when these are rolled, except for VMs that outlive them', async () => {
    const [ending, outliving] = await machines();
    const set = ['logLevel=debug', 'updateStrategy.type=RollingUpdate', 'updateStrategy.maxUnavailable=2'];
    const notes = await deploy('upgrade', { chart: 'lcow-agent', set });
    expect(notes).toMatch(/The rolling update stops these VMs[^\n]*:\n {2}win-\S+: default\/ends-with-agent\n/);
    expect(notes).not.toContain('default/outlives-agent');
    await $('wait --for=condition=Connected luvmhost --all --timeout=30s');
    await expect.poll(async () => (await machines())[0]?.status.restarts, { timeout: 30_000 }).toBe(1);
    await $('wait --for=condition=Ready luvm --all --timeout=30s');
    const [restarted, same] = await machines();
    expect(restarted?.status.runtimeID).not.toBe(ending?.status.runtimeID);
    expect(same).toEqual(outliving);
  });

  const selectedOperator = '-l app.kubernetes.io/name=lcow-operator --field-selector status.phase=Running';

  const endpoints = () =>
    $('get endpointslices -n lcow-system -l kubernetes.io/service-name=lcow-operator -o jsonpath={..addresses[*]}');

  async function selectPods(selector: Readonly<Record<string, string | null>>): Promise<void> {
    await $(`patch service lcow-operator -n lcow-system -p ${JSON.stringify({ spec: { selector } })}`);
  }

  function vm(name: string, spec: object): string {
    const metadata = { name, namespace: 'default' };
    return JSON.stringify({ apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata, spec });
  }

  async function machines() {
    const listed = await $('get luvm ends-with-agent outlives-agent -o json');
    return z.object({ items: z.array(machine) }).parse(JSON.parse(listed)).items;
  }

  async function agentPods(): Promise<string> {
    return await $('get pods -n lcow-system -l app.kubernetes.io/name=lcow-agent -o jsonpath={..metadata.uid}');
  }

  async function operatorPods(): Promise<readonly string[]> {
    return (await $(`get pods -n lcow-system ${selectedOperator} -o jsonpath={..metadata.uid}`)).split(' ');
  }
});

describe('uninstalling', () => {
  it('is refused while there are VMs', async () => {
    const { code, stderr } = await cluster.runHelm(['uninstall', 'lcow-operator', '--namespace', 'lcow-system']);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('VMs') });
  });

  it('is refused while a VM that has left its host waits for another one', async () => {
    await $('delete luvm --all --timeout=30s');
    const spec = { nodeSelector: { nowhere: 'found' } };
    const metadata = { name: 'unplaced', namespace: 'default', finalizers: ['lcow.dev/teardown'] };
    const manifest = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata, spec };
    await $('create -f -', JSON.stringify(manifest));
    await expect.poll(guard, { timeout: 20_000, interval: 250 }).toContain('there are 1 VMs, whose finalizers need');
    const { stderr } = await cluster.runHelm(['uninstall', 'lcow-operator', '--namespace', 'lcow-system']);
    expect(stderr).toContain('there are 1 VMs, whose finalizers need the operator');
    await $('delete luvm unplaced --timeout=30s');
    await expect.poll(guard, { timeout: 20_000, interval: 250 }).toBe('');
  });

  /**
   * The refusal of Helm's hook, repeated until the API server knows the state that the operator wrote with its Lease.
   */
  async function guard(): Promise<string> {
    const line = 'create configmap lcow-operator-uninstall -n lcow-system --dry-run=server --field-manager=helm';
    return (await cluster.attempt(line)).stderr;
  }

  it('leaves nothing behind once the VMs are gone, after each host became Unknown', async () => {
    const uninstall = (chart: string) =>
      cluster.helm(['uninstall', chart, '--namespace', 'lcow-system', '--wait', '--timeout', '60s']);
    await uninstall('lcow-agent');
    const last = await lastSaidOfHosts(() => uninstall('lcow-operator'));
    expect(Object.fromEntries(last)).toEqual({ 'win-2022-a': 'Unknown', 'win-2025-a': 'Unknown' });
    await expect.poll(() => inventory(cluster.controlPlane), { timeout: 30_000, interval: 500 }).toEqual(before);
  });

  /** What the records of the hosts last say, before Helm deletes them, of whether agents are connected. */
  async function lastSaidOfHosts(action: () => Promise<unknown>): Promise<ReadonlyMap<string, string>> {
    const clock = systemClock;
    const access = loadClusterAccess(cluster.controlPlane.kubeconfigPath, clock);
    const http = new KubeHttp({ access, clock, random: Math.random, version: 'test' });
    const path = '/apis/lcow.dev/v1alpha1/linuxutilityvmhosts';
    const ending = new AbortController();
    const version = await versionNow(http, { path }, ending.signal, 10_000);
    if (!version.ok) throw new Error(version.error.message);
    const last = new Map<string, string>();
    const watched = watch(http, {
      ...{ path, resourceVersion: version.value, timeoutSeconds: 300, silenceMilliseconds: 300_000 },
      signal: ending.signal,
      onEvent: (event) => {
        const host = event.type === 'Applied' ? parseHost(event.object) : undefined;
        const connected = host?.status.conditions?.find(({ type }) => type === 'Connected');
        if (host !== undefined) last.set(host.metadata.name, connected?.status ?? '');
      },
    });
    await action();
    ending.abort();
    await watched;
    return last;
  }
});
