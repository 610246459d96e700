// Charts and VMs applied by a GitOps tool: the tool still owns the fields that it wrote while everything runs, so there
// is no drift.
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { helm } from '../support/charts/helm.ts';
import { InstalledSystem } from '../support/charts/installed-system.ts';
import { chartArguments } from '../support/charts/rendered.ts';
import type { ControlPlane } from '../support/control-plane/control-plane.ts';
import { kubectl, runKubectl } from '../support/control-plane/kubectl.ts';

const manager = 'gitops';
const folder = fileURLToPath(new URL('../../examples/gitops/', import.meta.url));
const charts = ['lcow-operator', 'lcow-agent'];

const owned = z.object({
  items: z.array(
    z.object({
      kind: z.string(),
      metadata: z.object({
        name: z.string(),
        managedFields: z
          .array(
            z.object({
              manager: z.string(),
              subresource: z.string().optional(),
              fieldsV1: z.record(z.string(), z.unknown()),
            }),
          )
          .default([]),
      }),
    }),
  ),
});

let system: InstalledSystem;
let manifests: readonly string[];

beforeAll(async () => {
  system = await InstalledSystem.install(async (cluster, chart) => apply(cluster, await rendered(chart)));
  manifests = await Promise.all([
    ...charts.map(rendered),
    kubectl(system.cluster, ['kustomize', `${folder}fleet/production`]),
  ]);
}, 900_000);

afterAll(async () => {
  await system?.[Symbol.asyncDispose]();
});

it('a fleet from Git runs, and applying it again changes nothing', { timeout: 300_000 }, async () => {
  await system.startOperator();
  await system.startAgent();
  const [fleet = ''] = manifests.slice(-1);
  await apply(system.cluster, fleet);
  await kubectl(system.cluster, [
    'wait',
    '--for=condition=Ready',
    '--timeout=60s',
    '-n',
    'lcow-fleet',
    'luvm',
    '--all',
  ]);
  const before = await ownedBy(manager);
  expect(before.length).toBeGreaterThan(15);
  for (const manifest of manifests) {
    const differences = ['diff', '--server-side', `--field-manager=${manager}`, '-f', '-'];
    expect(await runKubectl(system.cluster, differences, manifest)).toMatchObject({ code: 0, stdout: '' });
    await apply(system.cluster, manifest);
  }
  expect(await ownedBy(manager)).toEqual(before);
  expect(await managersOfSpecs()).toEqual([manager]);
});

it('have no list whose items the API server completes, because Argo CD would show a drift', async () => {
  for (const manifest of manifests.slice(0, charts.length)) {
    const live = await kubectl(system.cluster, ['get', '-o', 'json', '-f', '-'], manifest);
    const objects = z.object({ items: z.array(named) }).parse(JSON.parse(live)).items;
    const found = parseAllDocuments(manifest)
      .map((document) => named.safeParse(document.toJS()).data)
      .flatMap((wanted) => {
        if (wanted === undefined) return [];
        const stored = objects.find((each) => isSame(each, wanted));
        return completed(wanted, stored, '').map((path) => `${wanted.kind} ${wanted.metadata.name}${path}`);
      });
    expect(found).toEqual([]);
  }
});

const named = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});

function isSame(one: z.infer<typeof named>, other: z.infer<typeof named>): boolean {
  const { name, namespace = one.metadata.namespace } = other.metadata;
  return one.kind === other.kind && one.metadata.name === name && one.metadata.namespace === namespace;
}

/** Lists whose items are merged by a key, so that Argo CD compares only what the manifest has of an item. */
const merged =
  /\.(?:containers|initContainers|env|ports|volumes|volumeMounts|topologySpreadConstraints|matchConditions|variables)$/;

/** The paths of list items that are stored with other values than they were written. */
function completed(wanted: unknown, stored: unknown, path: string, isInList = false): string[] {
  if (Array.isArray(wanted)) {
    const items: readonly unknown[] = Array.isArray(stored) ? stored : [];
    return wanted.flatMap((item, index) => completed(item, items[index], `${path}[${index}]`, !merged.test(path)));
  }
  const [ours, theirs] = [members.safeParse(wanted).data, members.safeParse(stored).data];
  if (ours === undefined || theirs === undefined) return [];
  const added = Object.keys(theirs).filter((name) => !(name in ours));
  return [
    ...(isInList ? added.map((name) => `${path}.${name}`) : []),
    ...Object.entries(ours).flatMap(([name, value]) => completed(value, theirs[name], `${path}.${name}`, isInList)),
  ];
}

const members = z.record(z.string(), z.unknown());

describe('the examples', () => {
  const documents = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as unknown);

  it('name existing charts and folders, in the version of this package', async () => {
    const files = await Promise.all(['argocd', 'flux'].map(readFolder));
    const text = JSON.stringify(files.flat().flatMap(documents));
    for (const [, path = ''] of text.matchAll(/"(?:chart|path)":"(?:\.\/)?((?:charts|examples)[^"{]*)/g)) {
      expect(await readdir(new URL(`../../${path}`, import.meta.url)), path).not.toEqual([]);
    }
    const versions = [...text.matchAll(/"(?:targetRevision|tag)":"([^"]*)"/g)].map(([, version]) => version);
    expect(new Set(versions)).toEqual(new Set([`v${packageJson.version}`]));
  });

  it('give the charts values that match their schemas', async () => {
    const files = await Promise.all(['argocd', 'flux'].map(readFolder));
    const found = files.flat().flatMap(documents).flatMap(valuesIn);
    expect(found.map(({ chart }) => chart).sort()).toEqual([...charts, ...charts].sort());
    for (const { chart, values } of found) {
      await helm(['template', ...chartArguments({ chart }), '--values', '-'], { input: JSON.stringify(values) });
    }
  });

  it('try again after seconds when something did not exist yet', async () => {
    const found = (await readFolder('flux')).flatMap(documents).map((each) => retried.safeParse(each).data);
    const kustomizations = found.filter((each) => each?.kind === 'Kustomization');
    expect(kustomizations.map((each) => each?.spec.retryInterval)).toEqual(['30s', '30s']);
    const releases = found
      .filter((each) => each?.kind === 'HelmRelease')
      .flatMap((each) => [each?.spec.install, each?.spec.upgrade]);
    expect(releases.map((each) => each?.strategy.retryInterval)).toEqual(['30s', '30s', '30s', '30s']);
    const argo = JSON.stringify((await readFolder('argocd')).flatMap(documents));
    expect(argo.match(/"retry":\{"limit":10/g)).toHaveLength(3);
  });

  async function readFolder(name: string): Promise<readonly string[]> {
    const names = (await readdir(`${folder}${name}`, { recursive: true })).filter((file) => file.endsWith('.yaml'));
    return Promise.all(names.map((file) => readFile(`${folder}${name}/${file}`, 'utf8')));
  }
});

const application = z.object({
  spec: z.object({ source: z.object({ path: z.string(), helm: z.object({ valuesObject: z.unknown() }) }) }),
});
const release = z.object({
  spec: z.object({ chart: z.object({ spec: z.object({ chart: z.string() }) }), values: z.unknown() }),
});

const retriedAction = z.object({ strategy: z.object({ retryInterval: z.string() }) });
const retried = z.object({
  kind: z.string(),
  spec: z.object({
    retryInterval: z.string().optional(),
    install: retriedAction.optional(),
    upgrade: retriedAction.optional(),
  }),
});

function valuesIn(document: unknown): { chart: string; values: unknown }[] {
  const argo = application.safeParse(document);
  if (argo.success) return [chartAt(argo.data.spec.source.path, argo.data.spec.source.helm.valuesObject)];
  const flux = release.safeParse(document);
  return flux.success ? [chartAt(flux.data.spec.chart.spec.chart, flux.data.spec.values)] : [];
}

const chartAt = (path: string, values: unknown) => ({ chart: path.replace('charts/', ''), values });

function rendered(chart: string): Promise<string> {
  return helm(['template', ...chartArguments({ chart }), '--no-hooks', '--kube-version', '1.37.2']);
}

/** Never by force: a field that another manager owns is a conflict. */
async function apply(cluster: ControlPlane, manifest: string): Promise<void> {
  await kubectl(cluster, ['apply', '--server-side', `--field-manager=${manager}`, '-f', '-'], manifest);
}

async function read(kinds: string): Promise<z.infer<typeof owned>['items']> {
  const args = ['get', kinds, '--all-namespaces', '--show-managed-fields', '-o', 'json'];
  return owned.parse(JSON.parse(await kubectl(system.cluster, args))).items;
}

/** The fields that the manager owns, by object. */
async function ownedBy(name: string): Promise<readonly string[]> {
  const items = await read(
    'luvm,deployment,daemonset,service,serviceaccount,configmap,secret,lease,role,clusterrole,crd,validatingadmissionpolicy',
  );
  return items.flatMap(({ kind, metadata }) =>
    metadata.managedFields
      .filter((entry) => entry.manager === name)
      .map(({ fieldsV1 }) => `${kind} ${metadata.name} ${JSON.stringify(fieldsV1)}`),
  );
}

/** The managers that own a field in the spec of a VM. */
async function managersOfSpecs(): Promise<readonly string[]> {
  const entries = (await read('luvm')).flatMap(({ metadata }) => metadata.managedFields);
  return [...new Set(entries.filter(({ fieldsV1 }) => 'f:spec' in fieldsV1).map(({ manager: who }) => who))];
}
