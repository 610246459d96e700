// The operator, with exactly the rights of the chart, starts a VM and removes it. No request is refused, and every
// right is used.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { plainAccess } from '../../operator/kubernetes/cluster-access.ts';
import { EventRecorder } from '../../operator/kubernetes/events.ts';
import { KubeHttp } from '../../operator/kubernetes/http.ts';
import { channelSubprotocol, subresourcePath } from '../../protocol/subresources.ts';
import { systemClock } from '../../runtime/clock.ts';
import { helm } from '../support/charts/helm.ts';
import { InstalledSystem } from '../support/charts/installed-system.ts';
import { rightOf } from '../support/charts/recording-proxy.ts';
import { chartArguments, render } from '../support/charts/rendered.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';

const rule = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  verbs: z.array(z.string()),
});
const ruled = z.looseObject({ rules: z.array(rule) });

/**
 * Clusters give this right to all service accounts (system:service-account-issuer-discovery), so the chart need not.
 */
const rightOfEveryAccount = 'get /openid/v1/jwks';

/** A VM that does not exist is made by a patch, and some clusters check who may let a set wait for its VMs. */
const checkedByTheServer = ['create lcow.dev/linuxutilityvms', 'update lcow.dev/linuxutilityvmsets/finalizers'];

let system: InstalledSystem;
const $ = (line: string) => kubectl(system.cluster, line.split(' '));
const until = (what: () => Promise<string>, expected: string | RegExp) =>
  expect.poll(what, { timeout: 60_000, interval: 250 }).toMatch(expected);

beforeAll(async () => {
  system = await InstalledSystem.install();
}, 900_000);

afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
});

it('no role has a wildcard', async () => {
  for (const { apiGroups, resources, verbs } of await rules()) {
    expect([...apiGroups, ...resources, ...verbs]).not.toContain('*');
  }
});

it('the helper derives the right of a request from its method and path', () => {
  expect(rightOf('GET', '/apis/lcow.dev/v1alpha1/linuxutilityvms?watch=true')).toBe('watch lcow.dev/linuxutilityvms');
  expect(rightOf('PUT', '/apis/lcow.dev/v1alpha1/namespaces/a/linuxutilityvms/b/status')).toBe(
    'update lcow.dev/linuxutilityvms/status',
  );
  expect(rightOf('GET', '/api/v1/namespaces/a/configmaps/b')).toBe('get configmaps');
  expect(rightOf('GET', '/api/v1/nodes/n')).toBe('get nodes');
});

it('the rights are enough for a VM from its manifest to its deletion, and every right is used', {
  timeout: 300_000,
}, async () => {
  await system.startOperator();
  await system.startAgent();
  await policyVm('confidential');
  await $('wait --for=condition=Ready --timeout=60s luvm/confidential').catch(async (error: unknown) => {
    throw new Error(`${String(error)}\n${await system.logs()}`);
  });
  // The operator asks about a user with all rights, and about a user with none.
  expect([await execAs('system:masters'), await execAs('nobodies')]).toEqual([404, 403]);
  await $('delete luvm confidential --timeout=60s');
  await everyWriteOfASet();
  await recordTwice();
  await system.operator.stop();
  // The operator creates these again.
  await $('delete -n lcow-system lease/lcow-operator secret/lcow-operator-certificates configmap/lcow-operator-ca');
  await system.startOperator();
  expect(system.proxy.refused).toEqual([]);
  const used = [...system.proxy.used, ...checkedByTheServer];
  expect(used.sort()).toEqual([rightOfEveryAccount, ...rights(await rules())].sort());
});

it('without rights on ConfigMaps, the others are enough if policies are in manifests', async () => {
  await system.operator.stop();
  const set = ['rbac.readConfigMaps=false'];
  await helm(['upgrade', ...chartArguments({ chart: 'lcow-operator', set })], system.cluster);
  await system.startOperator();
  await $('wait --for=condition=Connected --timeout=60s luvmhost --all');
  expect(system.proxy.refused).toEqual([]);
});

/**
 * The answer to a user of this group who asks for a process in a missing VM, as the API server forwards the request.
 */
async function execAs(group: string): Promise<number> {
  const [cert, key] = await Promise.all(
    ['front-proxy.crt', 'front-proxy.key'].map((name) => readFile(join(system.cluster.directory, name))),
  );
  const path = subresourcePath('default', 'nobody', 'exec');
  const socket = new WebSocket(`wss://127.0.0.1:${system.apiPort}${path}?command=id`, [channelSubprotocol], {
    ...{ cert, key, rejectUnauthorized: false },
    headers: { 'x-remote-user': 'somebody', 'x-remote-group': group },
  });
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  socket.terminate();
  return response.statusCode;
}

/** Creates a VM whose policy is in a ConfigMap. */
async function policyVm(name: string): Promise<void> {
  const policy = Buffer.from('package policy').toString('base64');
  await $(`create configmap policies --from-literal=policy=${policy}`);
  await system.create({
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name, namespace: 'default' },
    spec: {
      confidential: {
        isolation: 'None',
        securityPolicyFrom: { configMapKeyRef: { name: 'policies', key: 'policy' } },
      },
    },
  });
}

/** Makes, changes, takes back, adopts and deletes. */
async function everyWriteOfASet(): Promise<void> {
  const name = 'set';
  const labels = { 'lcow.dev/set': name };
  const machine = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM' };
  await system.create({ ...machine, metadata: { name: 'set-0', namespace: 'default', labels }, spec: {} });
  await system.create({
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVMSet',
    metadata: { name, namespace: 'default' },
    spec: { replicas: 2, revisionHistoryLimit: 1, template: { spec: { memory: { sizeInMB: 256 } } } },
  });
  const settled = async (line: string) => {
    await $(line);
    await until(
      () => $('get luvmset set -o jsonpath={.status.observedGeneration}/{.metadata.generation}'),
      /^(\d+)\/\1$/,
    );
    await $('wait --for=condition=Ready --timeout=60s luvmset/set');
  };
  const memory = (sizeInMB: number) => `{"spec":{"template":{"spec":{"memory":{"sizeInMB":${sizeInMB}}}}}}`;
  for (const sizeInMB of [320, 256, 384]) await settled(`patch luvmset set --type=merge -p ${memory(sizeInMB)}`);
  await settled('scale luvmset/set --replicas=1');
  await until(() => $('get luvm -o name'), /^linuxutilityvm.lcow.dev\/set-0\n$/);
  expect((await $('get controllerrevisions -o name')).trim().split('\n')).toHaveLength(2);
  // Without its label, the VM is released. The garbage collector would do it too, but discovery is incomplete here.
  await $('label luvm set-0 lcow.dev/set-');
  await until(() => $('get luvm set-0 -o jsonpath=owners:{.metadata.ownerReferences}'), /^owners:$/);
  await $('delete luvmset set');
  await $('delete luvm set-0 --timeout=60s');
}

/** A repeated Event is written again only after a minute, so this recorder gets a clock that jumps. */
async function recordTwice(): Promise<void> {
  let now = Date.now();
  const clock = { ...systemClock, now: () => now, after: systemClock.after.bind(systemClock) };
  const http = new KubeHttp({
    access: plainAccess(new URL(system.proxy.url)),
    clock,
    random: Math.random,
    version: '0',
  });
  const dropped: unknown[] = [];
  const observer = { dropped: (_: unknown, why: unknown) => dropped.push(why) };
  const events = new EventRecorder({ http, clock, randomUUID, instance: 'test', observer });
  // The API server counts bytes here, and the name would be cut at an invalid place.
  const longName = {
    name: `${'r'.repeat(199)}-long`,
    namespace: 'default',
    uid: 'd9428888-122b-41d1-b85a-3d4f1b2c3d4e',
  };
  const metadata = { name: 'repeated', namespace: 'default', uid: 'f47ac10b-58cc-4372-a567-0e02b2c3d479' };
  const regarding = { kind: 'LinuxUtilityVM', metadata };
  const record = { regarding, type: 'Normal', reason: 'Started', action: 'Start', note: 'The VM runs.' } as const;
  events.record({ ...record, regarding: { kind: 'LinuxUtilityVM', metadata: longName }, note: '内存'.repeat(400) });
  events.record(record);
  await until(() => $('get events.events.k8s.io -o name'), 'repeated');
  now += 61_000;
  events.record(record);
  await events.stop();
  expect(dropped).toEqual([]);
}

async function rules(): Promise<readonly z.infer<typeof rule>[]> {
  const roles = (await render({ chart: 'lcow-operator' })).filter(
    ({ kind, metadata }) => ['Role', 'ClusterRole'].includes(kind) && metadata.name === 'lcow-operator',
  );
  return roles.flatMap((role) => ruled.parse(role).rules);
}

function rights(given: readonly z.infer<typeof rule>[]): ReadonlySet<string> {
  const all = given.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group === '' ? '' : `${group}/`}${resource}`)),
    ),
  );
  return new Set(all);
}
