// Applies sets to a real API server: what it accepts, with which defaults, and what it refuses with which message.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { linuxUtilityVMSetSpec } from '../../crds/linux-utility-vm-set.ts';
import { ApiProxy } from '../support/control-plane/proxy.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';

const path = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvmsets';
const refusal = z.object({ message: z.string() });

let api: ApiProxy;

beforeAll(async () => {
  api = await ApiProxy.open(await sharedCluster());
});

afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

function apply(spec: object, name = 'a') {
  const manifest = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVMSet', metadata: { name }, spec };
  const query = 'fieldManager=conformance&fieldValidation=Strict&dryRun=All';
  return api.patch(`${path}/${name}?${query}`, 'apply-patch+yaml', manifest);
}

const template = { spec: {} };
const longest = 'a'.repeat(57);
const diskAt = (file: string) => ({ storage: { disks: [{ name: 'd', path: file }] } });

it.each<[string, object, string]>([
  ['the least', { template }, longest],
  [
    'variables',
    { template: { spec: { console: { pipe: '\\\\.\\pipe\\$(name)' }, ...diskAt('C:\\$(ordinal)') } } },
    'a',
  ],
  ['percentages', { template, maxUnavailable: '25%', update: { partition: '0%', maxParallelLive: '100%' } }, 'a'],
  ['reserved ordinals', { template, ordinals: { start: 50_000, reserved: [0, 99_999, '7-9', '9-7'] } }, 'a'],
  ['a restart of all', { template: { ...template, metadata: { annotations: { 'lcow.dev/restartedAt': 'x' } } } }, 'a'],
])('accepts %s, and the operator reads it', async (_, spec, name) => {
  const { status, body } = await apply(spec, name);
  expect(status, JSON.stringify(body)).toBe(201);
  const stored = z.object({ spec: z.unknown() }).parse(body);
  // The defaults of the schema are those of the operator.
  expect(linuxUtilityVMSetSpec.parse(stored.spec)).toEqual(stored.spec);
});

it.each<[string, object, string, string?]>([
  ['a name that is too long', { template }, 'at most 57 characters', `${longest}a`],
  ['no template', {}, 'spec.template: Required'],
  ['too many VMs', { template, replicas: 5_001 }, 'spec.replicas'],
  ['a budget of nothing', { template, maxUnavailable: 0 }, 'spec.maxUnavailable'],
  ['a number as text', { template, maxUnavailable: '3' }, 'spec.maxUnavailable'],
  ['more than all', { template, maxUnavailable: '101%' }, 'spec.maxUnavailable'],
  ['a reserved text', { template, ordinals: { reserved: ['a'] } }, 'spec.ordinals.reserved[0]'],
  ['a host', { template: { spec: { nodeName: 'a' } } }, 'nodeName'],
  ['an update strategy', { template: { spec: { updateStrategy: 'Recreate' } } }, 'updateStrategy'],
  ['VMs that end', { template: { spec: { runStrategy: 'Once' } } }, 'spec.template.spec.runStrategy'],
  ['a policy in the template', { template: { spec: { confidential: { securityPolicy: 'AAAA' } } } }, 'securityPolicy'],
  [
    'labels of the operator',
    { template: { ...template, metadata: { labels: { 'lcow.dev/set': 'b' } } } },
    'labels of lcow.dev/ are set by the operator',
  ],
  [
    'a pause of all VMs',
    { template: { ...template, metadata: { annotations: { 'lcow.dev/paused': 'true' } } } },
    'a template can have lcow.dev/restartedAt only',
  ],
  [
    'what no VM may be',
    { template: { spec: { memory: { enableDeferredCommit: true, allowOvercommit: false } } } },
    'memory.enableDeferredCommit is not supported on physically backed VMs',
  ],
  [
    'spreading over what is no label',
    { template, topologySpreadConstraints: [{ topologyKey: 'a zone' }] },
    'must be a label key',
  ],
  ['replacement at once', { template, replacement: { afterSeconds: 0 } }, 'spec.replacement.afterSeconds'],
])('refuses %s', async (_, spec, says, name) => {
  const { status, body } = await apply(spec, name);
  expect(status).not.toBe(201);
  expect(refusal.parse(body).message).toContain(says);
});
