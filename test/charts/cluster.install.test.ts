// The charts on a real API server: what it accepts, what it refuses, and what remains of a release.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { helm, helm3, helm4, runHelm } from '../support/charts/helm.ts';
import { inventory } from '../support/charts/inventory.ts';
import { chartArguments, type Rendering, render } from '../support/charts/rendered.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { kubectl, runKubectl } from '../support/control-plane/kubectl.ts';

const operatorUser = 'system:serviceaccount:lcow-system:lcow-operator';

let cluster: ControlPlane;
const $ = (line: string, input?: string) => kubectl(cluster, line.split(' '), input);
const attempt = (line: string, input?: string) => runKubectl(cluster, line.split(' '), input);
/** No program runs here, and an APIService without a server disturbs every client. */
const quietly = (rendering: Rendering): Rendering =>
  rendering.chart === 'lcow-operator'
    ? { ...rendering, set: [...(rendering.set ?? []), 'aggregatedAPI.enabled=false'] }
    : rendering;
const install = (rendering: Rendering) => helm(['install', ...chartArguments(quietly(rendering))], cluster);
const uninstall = (release: string, ...flags: string[]) =>
  runHelm(['uninstall', release, '--namespace', 'lcow-system', ...flags], cluster);

beforeAll(async () => {
  await helm(['version']);
  cluster = await startControlPlane();
  await $('apply -f -', await readFile(new URL('./monitoring-crds.yaml', import.meta.url), 'utf8'));
  await $('wait --for=condition=Established crd --all --timeout=30s');
  await $('create namespace lcow-system');
  await $('label namespace lcow-system pod-security.kubernetes.io/enforce=privileged');
  await $('create namespace monitoring');
  await $('create namespace restricted');
  await $('label namespace restricted pod-security.kubernetes.io/enforce=restricted');
  await $('label namespace restricted pod-security.kubernetes.io/warn=restricted');
}, 900_000);

afterAll(async () => {
  await cluster?.stop();
});

describe('the API server accepts every object', () => {
  it.each([
    { chart: 'lcow-operator' },
    { chart: 'lcow-operator', values: 'operator-production' },
    { chart: 'lcow-operator', values: 'operator-small' },
    { chart: 'lcow-operator', values: 'operator-openshift' },
    { chart: 'lcow-agent' },
    { chart: 'lcow-agent', values: 'agent-elsewhere' },
    { chart: 'lcow-agent', values: 'agent-confidential' },
    { chart: 'lcow-agent', values: 'agent-monitored' },
  ])('of $chart with values $values, without a warning', async (rendering) => {
    const objects = await render(rendering);
    const { code, stdout, stderr } = await attempt('apply --server-side --dry-run=server -f -', manifest(objects));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trim().split('\n')).toHaveLength(objects.length);
  });

  it('of the operator under the restricted Pod Security level', async () => {
    const objects = await render({ chart: 'lcow-operator', namespace: 'restricted' });
    const { code, stderr } = await attempt('apply --server-side --dry-run=server -f -', manifest(objects));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  function manifest(objects: readonly unknown[]): string {
    return objects.map((each) => stringify(each)).join('---\n');
  }
});

describe('a release', () => {
  it('leaves the kinds and the VMs in place when told to, and adopts them again', async () => {
    await install({ chart: 'lcow-operator' });
    await $('wait --for=condition=Established crd/linuxutilityvms.lcow.dev --timeout=30s');
    await $('create -f -', vm('kept'));
    expect(await uninstall('lcow-operator')).toMatchObject({ code: 0 });
    expect(await $('get luvm -o name')).toBe('linuxutilityvm.lcow.dev/kept\n');
    await install({ chart: 'lcow-operator' });
    expect(await $('get luvm -o name')).toBe('linuxutilityvm.lcow.dev/kept\n');
    await $('delete luvm kept');
  });

  const set = ['image.registry=registry.example.com'];
  const another = quietly({ chart: 'lcow-operator', release: 'another', set });

  it('with a second name is refused, since a cluster has one operator', async () => {
    const { stderr } = await runHelm(['install', ...chartArguments(another)], cluster);
    expect(stderr).toContain('meta.helm.sh/release-name');
  });

  it('prints in its notes what the namespace of the agents lacks', async () => {
    const notes = await install({ chart: 'lcow-agent', namespace: 'restricted' });
    expect(notes).toContain('kubectl label namespace restricted pod-security.kubernetes.io/enforce=privileged');
    expect(notes).toContain('There is no Service lcow-operator in namespace restricted');
    expect(notes).toMatch(/The image ghcr.io\/lcow-dev\/lcow-agent:\S+ is not published/);
    await helm(['uninstall', 'lcow-agent', '--namespace', 'restricted'], cluster);
  });

  it('of the operator cannot be uninstalled while a host has VMs', async () => {
    await $('create -f -', JSON.stringify({ ...host, metadata: { name: 'win-a' } }));
    await $(`patch luvmhost win-a --subresource=status --type=merge -p ${desired(2)}`);
    const before = await inventory(cluster);
    const refusal = 'host win-a has 2 VMs, whose finalizers need the operator';
    await expect.poll(async () => (await uninstall('lcow-operator')).stderr, { timeout: 20_000 }).toContain(refusal);
    expect(await inventory(cluster)).toEqual(before);
    await helm(['rollback', 'lcow-operator', '1', '--namespace', 'lcow-system'], cluster);
  });

  it.each([
    ['Helm 4', helm4],
    ['Helm 3', helm3],
  ])('whose uninstall was refused is restored by the commands in the refusal, with %s', async (_, tool) => {
    const upgrade = ['upgrade', ...chartArguments(quietly({ chart: 'lcow-operator', set: ['logLevel=debug'] }))];
    expect((await tool.run(upgrade, cluster)).code).toBe(0);
    const { stderr } = await tool.run(['uninstall', 'lcow-operator', '--namespace', 'lcow-system'], cluster);
    expect((await tool.run(upgrade, cluster)).stderr).toContain('has no deployed releases');
    const [line = ''] = /helm rollback lcow-operator \d+ --namespace lcow-system/.exec(stderr) ?? [];
    expect(await helm(['get', 'notes', ...release], cluster)).toContain(line);
    expect((await tool.run(line.split(' ').slice(1), cluster)).code).toBe(0);
    expect(JSON.parse(await helm(['get', 'values', ...release, '--output', 'json'], cluster))).toMatchObject({
      logLevel: 'debug',
    });
    expect((await tool.run(upgrade, cluster)).code).toBe(0);
  });

  it.each(['apply', 'apply --server-side --force-conflicts'])(
    'can be upgraded despite VMs by `helm template | kubectl %s`',
    async (line) => {
      const template = ['template', ...chartArguments(quietly({ chart: 'lcow-operator' }))];
      expect(await helm(template, cluster)).not.toContain('helm.sh/hook');
      // Helm prints the hooks if it can ask the cluster. kubectl treats them as ordinary objects.
      const manifests = await helm([...template, '--dry-run=server'], cluster);
      expect(manifests).toContain('helm.sh/hook: pre-delete');
      const { code, stdout, stderr } = await attempt(`${line} --dry-run=server -f -`, manifests);
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('VMs') });
      expect(stdout).toContain('configmap/lcow-operator-uninstall ');
    },
  );

  it('of the operator can be uninstalled once no host has VMs', async () => {
    await $(`patch luvmhost win-a --subresource=status --type=merge -p ${desired(0)}`);
    await expect.poll(async () => (await uninstall('lcow-operator')).code, { timeout: 20_000 }).toBe(0);
    await $('delete luvmhost win-a');
  });

  it('with another name adopts the kinds that the first one kept', async () => {
    const install = ['install', ...chartArguments(another)];
    const { code, stderr } = await runHelm(install, cluster);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('meta.helm.sh/release-name') });
    const notes = await helm([...install, '--take-ownership'], cluster);
    expect(notes).toContain('helm install --take-ownership');
    expect(notes).not.toContain('is not published');
    expect(await uninstall('another')).toMatchObject({ code: 0 });
    await helm(['install', ...chartArguments(quietly({ chart: 'lcow-operator' })), '--take-ownership'], cluster);
    expect(await uninstall('lcow-operator')).toMatchObject({ code: 0 });
  });

  it('of Helm 3 can be installed, and uninstalled despite VMs without hooks', async () => {
    const installed = await helm3.run(['install', ...chartArguments(quietly({ chart: 'lcow-operator' }))], cluster);
    expect(installed).toMatchObject({ code: 0, stderr: '' });
    await $('create -f -', JSON.stringify({ ...host, metadata: { name: 'win-b' } }));
    await $(`patch luvmhost win-b --subresource=status --type=merge -p ${desired(1)}`);
    const uninstalled = await helm3.run(['uninstall', ...release, '--no-hooks'], cluster);
    expect(uninstalled).toMatchObject({ code: 0 });
    await $('delete luvmhost win-b');
  });

  const host = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMHost', spec: {} };
  const release = ['lcow-operator', '--namespace', 'lcow-system'];
  const desired = (count: number) => JSON.stringify({ status: { virtualMachines: { desired: count, running: 0 } } });
});

describe('the operator’s ServiceAccount', () => {
  beforeAll(async () => {
    await install({ chart: 'lcow-operator' });
    await $('create -f -', vm('guarded', { finalizers: ['example.com/other'] }));
  });

  afterAll(async () => {
    await uninstall('lcow-operator');
  });

  it.each([
    ['the spec', { spec: { memory: { sizeInMB: 512 } } }, 'the operator must not change spec'],
    ['labels', { metadata: { labels: { a: 'b' } } }, 'the operator must not change labels and annotations'],
    ['annotations', { metadata: { annotations: { a: 'b' } } }, 'the operator must not change labels and annotations'],
    ['finalizers of others', { metadata: { finalizers: [] } }, 'the finalizer lcow.dev/teardown only'],
  ])('cannot change %s', async (_, patch, message) => {
    // A dry run, so that it can be repeated until the new policy is in effect.
    const line = `patch luvm guarded --as=${operatorUser} --dry-run=server --type=merge -p ${JSON.stringify(patch)}`;
    await expect.poll(async () => (await attempt(line)).stderr, { timeout: 20_000 }).toContain(message);
  });

  it('can change its finalizer and the status', async () => {
    const finalizers = JSON.stringify({ metadata: { finalizers: ['example.com/other', 'lcow.dev/teardown'] } });
    await $(`patch luvm guarded --as=${operatorUser} --type=merge -p ${finalizers}`);
    const object = JSON.parse(await $('get luvm guarded -o json'));
    const status = { ...object, status: { phase: 'Pending' } };
    await $(`replace --subresource=status --as=${operatorUser} -f -`, JSON.stringify(status));
    expect(await $('get luvm guarded -o jsonpath={.status.phase}')).toBe('Pending');
    await $('patch luvm guarded --type=merge -p {"metadata":{"finalizers":[]}}');
  });

  it('can make and delete only VMs of a set, and can take a VM over only if its label names the set', async () => {
    const owner = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMSet', name: 's', uid: 'u', controller: true };
    const ownerReferences = [owner];
    const create = `create --as=${operatorUser} --dry-run=server -f -`;
    const only = 'only VMs and ControllerRevisions of a LinuxUtilityVMSet';
    expect((await attempt(create, vm('free'))).stderr).toContain(only);
    expect((await attempt(create, vm('owned', { ownerReferences }))).code).toBe(0);
    const others = [{ ...owner, kind: 'Deployment', apiVersion: 'apps/v1' }];
    expect((await attempt(create, vm('foreign', { ownerReferences: others }))).stderr).toContain(only);
    expect((await attempt(`delete luvm guarded --as=${operatorUser} --dry-run=server`)).stderr).toContain(only);
    const revision = {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name: 'r' },
      data: {},
      revision: 1,
    };
    expect((await attempt(create, JSON.stringify(revision))).stderr).toContain(only);
    const adopt = JSON.stringify({ metadata: { ownerReferences } });
    const patch = `patch luvm guarded --as=${operatorUser} --dry-run=server --type=merge -p ${adopt}`;
    expect((await attempt(patch)).stderr).toContain('may adopt only VMs whose label lcow.dev/set has its name');
    await $('label luvm guarded lcow.dev/set=s');
    expect((await attempt(patch)).code).toBe(0);
    await $('label luvm guarded lcow.dev/set-');
  });

  it('is the only account that the policy restricts', async () => {
    await $('patch luvm guarded --type=merge -p {"spec":{"memory":{"sizeInMB":512}}}');
  });

  it.each([
    'get secrets',
    'get secret/other --namespace=lcow-system',
    'list secrets --namespace=lcow-system',
    'update lease/other --namespace=lcow-system',
    'update linuxutilityvms.lcow.dev',
    'patch linuxutilityvmsets.lcow.dev',
    'delete linuxutilityvmhosts.lcow.dev',
    'patch nodes',
    'get pods',
    'update configmap/other --namespace=lcow-system',
  ])('cannot %s', async (what) => {
    expect((await attempt(`auth can-i ${what} --as=${operatorUser}`)).stdout).toBe('no\n');
  });
});

describe('people', () => {
  beforeAll(async () => {
    await helm(['install', ...chartArguments({ chart: 'lcow-operator' })], cluster);
    for (const role of ['view', 'edit', 'admin']) {
      await $(`create rolebinding ${role} --clusterrole=${role} --user=${role} --namespace=default`);
    }
    await $('create clusterrolebinding fleet --clusterrole=admin --user=fleet');
  });

  it.each([
    ['view', 'get', 'linuxutilityvms.lcow.dev', 'yes'],
    ['view', 'create', 'linuxutilityvms.lcow.dev', 'no'],
    ['edit', 'create', 'linuxutilityvms.lcow.dev', 'yes'],
    ['edit', 'deletecollection', 'linuxutilityvms.lcow.dev', 'yes'],
    ['view', 'get', 'linuxutilityvmsets.lcow.dev', 'yes'],
    ['view', 'update', 'linuxutilityvmsets.lcow.dev --subresource=scale', 'no'],
    ['edit', 'update', 'linuxutilityvmsets.lcow.dev --subresource=scale', 'yes'],
    ['edit', 'update', 'linuxutilityvms.lcow.dev --subresource=status', 'no'],
    ['view', 'get', 'luvm --subresource=log', 'yes'],
    ['view', 'get', 'luvm --subresource=document', 'no'],
    ['view', 'create', 'luvm --subresource=exec', 'no'],
    ['view', 'get', 'luvm --subresource=portforward', 'no'],
    ['view', 'create', 'luvm --subresource=portforward', 'no'],
    ['edit', 'get', 'luvm --subresource=document', 'yes'],
    ['edit', 'create', 'luvm --subresource=exec', 'yes'],
    ['edit', 'create', 'luvm --subresource=console', 'yes'],
    ['edit', 'create', 'luvm --subresource=portforward', 'yes'],
    ['admin', 'create', 'luvm --subresource=portforward', 'yes'],
    ['admin', 'delete', 'linuxutilityvms.lcow.dev', 'yes'],
    ['admin', 'update', 'linuxutilityvmhosts.lcow.dev -A', 'no'],
    ['fleet', 'update', 'linuxutilityvmhosts.lcow.dev -A', 'yes'],
  ])('bound as %s: %s %s? %s', async (user, verb, resource, answer) => {
    const line = `auth can-i ${verb} ${resource} --as=${user}`;
    // The controller aggregates roles with a delay, and the API server learns of it a little later.
    await expect.poll(async () => (await attempt(line)).stdout.trim(), { timeout: 20_000 }).toBe(answer);
  });

  it.each([
    ['view', 'log', 'true'],
    ['view', 'exec', 'false'],
    ['edit', 'exec', 'true'],
    ['edit', 'console', 'true'],
  ])('bound as %s have access to the subresource %s? %s', async (user, subresource, answer) => {
    // By name, because kubectl asks the server about resources, and no server runs here.
    const resource = { group: 'subresources.lcow.dev', resource: 'linuxutilityvms', subresource };
    const resourceAttributes = { ...resource, verb: 'get', namespace: 'default' };
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview' };
    const asked = JSON.stringify({ ...review, spec: { user, resourceAttributes } });
    const allowed = () => $('create -f - -o jsonpath={.status.allowed}', asked);
    await expect.poll(allowed, { timeout: 20_000 }).toBe(answer);
  });
});

function vm(name: string, metadata: object = {}): string {
  return JSON.stringify({
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name, namespace: 'default', ...metadata },
    spec: { memory: { sizeInMB: 1024 } },
  });
}
