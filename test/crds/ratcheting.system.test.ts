// Objects that an earlier version stored, and that would be refused now, can still be updated and deleted. The test has
// its own control plane, because it installs the old kind.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { customResourceDefinition } from '../../crds/custom-resource-definition.ts';
import { finalizer, linuxUtilityVMKind } from '../../crds/linux-utility-vm.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { machinesPath, OperatorFixture, until } from '../support/operator/fixture.ts';

let controlPlane: ControlPlane;
let fixture: OperatorFixture;

beforeAll(async () => {
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
}, 120_000);

afterAll(async () => {
  await controlPlane?.stop();
});

const definitionPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/linuxutilityvms.lcow.dev';
const versioned = z.object({ metadata: z.object({ resourceVersion: z.string() }) });
const policyOf = (chars: number) => 'cG9s'.repeat(chars / 4);

/** Installs the kind with policies of this length. */
async function install(maximum: number): Promise<void> {
  const { metadata } = versioned.parse(await fixture.request({ method: 'GET', path: definitionPath }));
  const definition = customResourceDefinition(linuxUtilityVMKind);
  const text = JSON.stringify(definition).replaceAll('"maxLength":32768', `"maxLength":${maximum}`);
  const { metadata: names, ...rest } = z.looseObject({ metadata: z.looseObject({}) }).parse(JSON.parse(text));
  const body = { ...rest, metadata: { ...names, resourceVersion: metadata.resourceVersion } };
  await fixture.request({ method: 'PUT', path: definitionPath, body });
}

async function isRefused(chars: number): Promise<boolean> {
  const body = {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name: 'tried' },
    spec: { confidential: { securityPolicy: policyOf(chars) } },
  };
  return !(await fixture.http.request({ method: 'POST', path: machinesPath, query: { dryRun: 'All' }, body })).ok;
}

test('a VM with a stored policy of 250 KB gets status and finalizer, and is deleted', async () => {
  await install(262_144);
  await until(async () => !(await isRefused(250_000)));
  const { metadata } = await fixture.create('earlier', { confidential: { securityPolicy: policyOf(250_000) } });
  await install(32_768);
  await until(() => isRefused(250_000));
  expect(await isRefused(32_768)).toBe(false);

  await fixture.patch('earlier', { metadata: { finalizers: [finalizer], labels: { tier: 'kept' } } });
  const current = await fixture.get('earlier');
  await fixture.request({
    method: 'PUT',
    path: `${machinesPath}/earlier/status`,
    body: {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name: 'earlier', uid: metadata.uid, resourceVersion: current?.metadata.resourceVersion },
      status: { phase: 'Pending', observedGeneration: 1 },
    },
  });
  expect((await fixture.get('earlier'))?.status.phase).toBe('Pending');
  await fixture.patch('earlier', { spec: { runStrategy: 'Halted' } });
  await expect(
    fixture.patch('earlier', { spec: { confidential: { securityPolicy: policyOf(250_004) } } }),
  ).rejects.toThrow('32768');
  await fixture.delete('earlier');
  await fixture.patch('earlier', { metadata: { finalizers: [] } });
  await fixture.untilGone('earlier');
});
