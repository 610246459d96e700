// How the tools themselves judge the objects: kstatus by kapply, Flux by its own code, and Argo CD by its Lua
// interpreter. A real API server stores each object with the status that the operator's code writes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { apiVersion, setPlural, virtualMachinePlural } from '../../crds/names.ts';
import { gitopsJudge, kapply } from '../support/charts/judges.ts';
import { machineSituations } from '../support/charts/machine-situations.ts';
import { setSituations } from '../support/charts/set-situations.ts';
import { fluxVerdict, type JudgedObject } from '../support/charts/situations.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { OperatorFixture } from '../support/operator/fixture.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let folder: string;

beforeAll(async () => {
  await Promise.all([kapply.path(), gitopsJudge.path()]);
  controlPlane = await startControlPlane({ controllers: false });
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
  folder = await mkdtemp(join(tmpdir(), 'judged-'));
}, 900_000);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await controlPlane?.stop();
});

const kinds = [
  {
    ...{ kind: 'LinuxUtilityVM', plural: virtualMachinePlural, script: 'linux-utility-vm-health.lua' },
    ...{ situations: machineSituations, spec: {} },
  },
  {
    ...{ kind: 'LinuxUtilityVMSet', plural: setPlural, script: 'linux-utility-vm-set-health.lua' },
    ...{ situations: setSituations, spec: { template: { spec: {} } } },
  },
];

it.each(kinds)('in each situation of a $kind, all tools come to the expected verdict', async ({ kind, ...given }) => {
  const { plural, script, situations, spec } = given;
  const collection = `/apis/${apiVersion}/namespaces/default/${plural}`;
  const objects: unknown[] = [];
  for (const [index, { object }] of situations.entries()) {
    const identity = { apiVersion, kind, metadata: { name: nameOf(index), finalizers: ['lcow.dev/kept-for-a-test'] } };
    objects.push(await stored(collection, { ...identity, spec }, object));
  }
  const byKstatus = await judgedByKapply(kind, situations.length);
  const others = await judgedAsInGitOps(kind, script, objects);
  const found = situations.map(({ name }, index) => [
    name,
    { kstatus: byKstatus.get(nameOf(index)), ...others[index] },
  ]);
  const expected = situations.map((each) => [
    each.name,
    { kstatus: each.kstatus, argo: each.argo, flux: fluxVerdict(each) },
  ]);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
});

const nameOf = (index: number) => `x${index}`;

interface Manifest {
  readonly spec: object;
  readonly metadata: { readonly name: string; readonly finalizers: readonly string[] };
}

/** The object as the API server has it, in the situation of `like`. Its generation is another one. */
async function stored(collection: string, manifest: Manifest, like: JudgedObject): Promise<unknown> {
  const { annotations, deletionTimestamp, generation } = like.metadata;
  const { metadata } = manifest;
  const created = storedObject.parse(
    await fixture.request({
      ...{ method: 'POST', path: collection, body: { ...manifest, metadata: { ...metadata, annotations } } },
    }),
  );
  const path = `${collection}/${metadata.name}`;
  const behind = generation - (like.status.observedGeneration ?? 0);
  const observedGeneration = created.metadata.generation - behind;
  await fixture.request({
    ...{ method: 'PUT', path: `${path}/status` },
    body: { ...created, status: { ...like.status, observedGeneration } },
  });
  if (deletionTimestamp !== undefined) await fixture.request({ method: 'DELETE', path });
  return fixture.request({ method: 'GET', path });
}
const storedObject = z.looseObject({ metadata: z.looseObject({ generation: z.number() }) });

/** By name. */
async function judgedByKapply(kind: string, count: number): Promise<ReadonlyMap<string, string>> {
  const inventory = kind.toLowerCase();
  const applied = Array.from({ length: count }, (_, index) => [`default_${nameOf(index)}_lcow.dev_${kind}`, '']);
  const manifest = JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'ConfigMap', data: Object.fromEntries(applied) },
    metadata: {
      ...{ name: inventory, namespace: 'default', labels: { 'cli-utils.sigs.k8s.io/inventory-id': inventory } },
    },
  });
  await kubectl(controlPlane, ['create', '--filename=-'], manifest);
  await writeFile(join(folder, 'inventory.yaml'), manifest);
  const { code, stdout, stderr } = await kapply.run(['status', folder, '--poll-until=known'], controlPlane);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const lines = [...stdout.matchAll(/^\S+\/(\S+) is ([A-Za-z]+):/gm)];
  return new Map(lines.map(([, name = '', verdict = '']) => [name, verdict]));
}

const verdicts = z.array(z.object({ flux: z.string(), argo: z.string() }));

async function judgedAsInGitOps(kind: string, script: string, objects: readonly unknown[]) {
  const lua = await readFile(join(project, 'charts/argocd', script), 'utf8');
  const input = JSON.stringify({ flux: await fluxExpressionsFor(kind), lua, objects });
  const { code, stdout, stderr } = await gitopsJudge.run([], { input });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return verdicts.parse(JSON.parse(stdout));
}

const kustomization = z.looseObject({
  spec: z
    .looseObject({ healthCheckExprs: z.array(z.looseObject({ apiVersion: z.string(), kind: z.string() })).default([]) })
    .default({ healthCheckExprs: [] }),
});

/** Those of the example for Flux. */
async function fluxExpressionsFor(kind: string): Promise<unknown> {
  const text = await readFile(join(project, 'examples/gitops/flux/lcow.yaml'), 'utf8');
  const all = parseAllDocuments(text).flatMap((each) => kustomization.parse(each.toJS()).spec.healthCheckExprs);
  return all.find((each) => each.kind === kind && each.apiVersion === apiVersion);
}
