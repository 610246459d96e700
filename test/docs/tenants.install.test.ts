// examples/tenants/ in a namespace of a real API server: what it limits, and what it must never refuse.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { finalizer } from '../../crds/names.ts';
import { type KubectlResult, kubectl, runKubectl } from '../support/control-plane/kubectl.ts';
import { ApiProxy, type ApiResponse } from '../support/control-plane/proxy.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';

const example = (name: string) => fileURLToPath(new URL(`../../examples/tenants/${name}.yaml`, import.meta.url));
const label = 'lcow.dev/maximum-memory-in-mb';
const limit = 2048;
const quota = 10;
const namespace = `tenant-${randomUUID()}`;
const vms = `/apis/lcow.dev/v1alpha1/namespaces/${namespace}/linuxutilityvms`;
const tooLarge = (size: number) =>
  `spec.memory.sizeInMB is ${size}, and label ${label} of namespace ${namespace} allows ${limit}`;
const noNumber = (value: string) =>
  `label ${label} of namespace ${namespace} must be a number of MB, such as 2048, and is "${value}"`;
const patience = { timeout: 60_000, interval: 250 };

let api: ApiProxy;
const run = async (line: string, input?: string) => kubectl(await sharedCluster(), line.split(' '), input);

beforeAll(async () => {
  api = await ApiProxy.open(await sharedCluster());
  await run(`create namespace ${namespace}`);
  await setLimit(String(limit));
  await run(`apply --filename ${example('memory-limit')}`);
  await forLimit(tooLarge(limit + 1));
});

afterAll(async () => {
  await run(`delete --filename ${example('memory-limit')} --ignore-not-found`);
  await run(`delete namespace ${namespace} --ignore-not-found --wait=false`);
  await api[Symbol.asyncDispose]();
});

function setLimit(value: string): Promise<string> {
  return run(`label namespace ${namespace} --overwrite ${label}=${value}`);
}

/** Waits, because the API server learns of policies and labels within a second or two. */
async function forLimit(message: string): Promise<void> {
  await vi.waitFor(async () => {
    expect(await create('probe', { memory: { sizeInMB: limit + 1 } }, true)).toMatchObject(refused(message));
  }, patience);
}

function vm(name: string, spec: unknown, metadata = {}) {
  return { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name, ...metadata }, spec };
}

function create(name: string, spec: unknown, dryRun = false): Promise<ApiResponse> {
  return api.request('POST', `${vms}${dryRun ? '?dryRun=All' : ''}`, vm(name, spec));
}

function patch(name: string, body: unknown): Promise<ApiResponse> {
  return api.patch(`${vms}/${name}`, 'merge-patch+json', body);
}

function refused(message: string) {
  return { status: 403, body: { message: expect.stringContaining(message) } };
}

/** Creates a VM as it existed before the limit. */
async function createLarge(name: string): Promise<void> {
  await run(`label namespace ${namespace} ${label}-`);
  await vi.waitFor(async () => {
    expect(await create(name, { memory: { sizeInMB: 2 * limit } })).toMatchObject({ status: 201 });
  }, patience);
  await setLimit(String(limit));
  await forLimit(tooLarge(limit + 1));
}

it.each([
  ['the limit itself', { memory: { sizeInMB: limit } }],
  ['the default', {}],
])('the limit allows a VM with %s', async (_, spec) => {
  expect(await create('small', spec, true)).toMatchObject({ status: 201 });
});

it('the limit refuses a VM with more, and names the limit and the label that sets it', async () => {
  const { code, stderr }: KubectlResult = await runKubectl(
    await sharedCluster(),
    ['create', '--namespace', namespace, '--filename', '-'],
    JSON.stringify(vm('large', { memory: { sizeInMB: 2 * limit } })),
  );
  expect(code).toBe(1);
  expect(stderr).toContain(tooLarge(2 * limit));
});

it.each(['4096.0', '4.096e3', '1099511627776'])('the limit refuses %s, however the number is written', async (size) => {
  const text = JSON.stringify(vm('large', { memory: { sizeInMB: 0 } })).replace('"sizeInMB":0', `"sizeInMB":${size}`);
  const response = await fetch(new URL(vms, api.url), {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/json' },
  });
  expect(await response.json()).toMatchObject({ message: expect.stringContaining(`of namespace ${namespace} allows`) });
  expect(response.status).toBe(403);
});

it('the limit also applies to the default', async () => {
  await setLimit('512');
  await vi.waitFor(async () => {
    expect(await create('plain', {}, true)).toMatchObject(refused('spec.memory.sizeInMB is 1024'));
  }, patience);
  await setLimit(String(limit));
  await forLimit(tooLarge(limit + 1));
});

it('the limit refuses VMs while the label is not a number, and says so', async () => {
  for (const value of ['8Gi', '1e9', '']) {
    await setLimit(value);
    await forLimit(noNumber(value));
    expect(await create('small', { memory: { sizeInMB: 1 } }, true)).toMatchObject(refused(noNumber(value)));
  }
  await setLimit(String(limit));
  await forLimit(tooLarge(limit + 1));
});

it('the limit applies to no other namespace', async () => {
  const path = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms?dryRun=All';
  const large = vm(`${namespace}-large`, { memory: { sizeInMB: 2 * limit } });
  expect(await api.request('POST', path, large)).toMatchObject({ status: 201 });
});

it('the limit applies to updates that raise the memory', async () => {
  await create('grows', { runStrategy: 'Halted' });
  expect(await patch('grows', { spec: { memory: { sizeInMB: limit } } })).toMatchObject({ status: 200 });
  expect(await patch('grows', { spec: { memory: { sizeInMB: limit + 2 } } })).toMatchObject(
    refused(tooLarge(limit + 2)),
  );
  await run(`delete luvm grows --namespace ${namespace}`);
});

it('the limit allows an existing larger VM to be used, made smaller and deleted', async () => {
  await createLarge('older');
  const path = `${vms}/older`;
  expect(await patch('older', { spec: { runStrategy: 'Halted' } })).toMatchObject({ status: 200 });
  expect(await patch('older', { metadata: { finalizers: [finalizer] } })).toMatchObject({ status: 200 });
  const status = { status: { nodeName: 'win-2025-a' } };
  expect(await api.patch(`${path}/status`, 'merge-patch+json', status)).toMatchObject({ status: 200 });
  const smaller = { spec: { memory: { sizeInMB: 2 * limit - 2 } } };
  expect(await patch('older', smaller)).toMatchObject({ status: 200 });
  const larger = { spec: { memory: { sizeInMB: 2 * limit } } };
  expect(await patch('older', larger)).toMatchObject(refused(tooLarge(2 * limit)));

  expect(await api.request('DELETE', path)).toMatchObject({ status: 200 });
  expect(await api.request('GET', path)).toMatchObject({ status: 200 });
  expect(await patch('older', { metadata: { finalizers: null } })).toMatchObject({ status: 200 });
  expect(await api.request('GET', path)).toMatchObject({ status: 404 });
});

it('the limit cannot be bypassed by a claimed deletion', async () => {
  await create('sly', { runStrategy: 'Halted' });
  const claimed = { metadata: { deletionTimestamp: new Date().toISOString() } };
  const larger = { ...claimed, spec: { memory: { sizeInMB: 2 * limit } } };
  const { status } = await patch('sly', larger);
  const stored = await api.request('GET', `${vms}/sly`);
  expect([403, 422]).toContain(status);
  expect(stored).toMatchObject({ body: { spec: { memory: { sizeInMB: 1024 } } } });
  const born = vm('born', { memory: { sizeInMB: 2 * limit } }, claimed.metadata);
  expect(await api.request('POST', vms, born)).toMatchObject(refused(tooLarge(2 * limit)));
  await run(`delete luvm sly --namespace ${namespace}`);
});

it('the quota limits the number of VMs', async () => {
  const key = 'count/linuxutilityvms.lcow.dev';
  const counted = async (used: number) => {
    const { body } = await api.request('GET', `/api/v1/namespaces/${namespace}/resourcequotas/virtual-machines`);
    expect(body).toMatchObject({ status: { hard: { [key]: String(quota) }, used: { [key]: String(used) } } });
  };
  await run(`apply --namespace ${namespace} --filename ${example('quota')}`);
  // The controller manager counts existing VMs.
  await vi.waitFor(() => counted(0), patience);
  for (let index = 0; index < quota; index++) {
    expect(await create(`vm-${index}`, { runStrategy: 'Halted' })).toMatchObject({ status: 201 });
  }
  const message = `exceeded quota: virtual-machines, requested: ${key}=1, used: ${key}=${quota}, limited: ${key}=${quota}`;
  expect(await create('one-more', { runStrategy: 'Halted' })).toMatchObject(refused(message));
  expect(await patch('vm-0', { spec: { runStrategy: 'Always' } })).toMatchObject({ status: 200 });

  await run(`delete luvm vm-0 --namespace ${namespace}`);
  await vi.waitFor(() => counted(quota - 1), patience);
  expect(await create('one-more', { runStrategy: 'Halted' })).toMatchObject({ status: 201 });
});
