// The charts as kustomize reads them, and Flux with it: each key occurs once.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helm } from '../support/charts/helm.ts';
import {
  chartArguments,
  ofSomeCluster,
  parseObjects,
  type Rendered,
  type Rendering,
} from '../support/charts/rendered.ts';
import { findBinaries } from '../support/control-plane/binaries.ts';
import { runKubectl } from '../support/control-plane/kubectl.ts';

/** Labels and variables that the charts set themselves. */
const clashing = [
  'commonLabels.app\\.kubernetes\\.io/name=mine',
  'commonLabels.app\\.kubernetes\\.io/component=mine',
  'commonLabels.app\\.kubernetes\\.io/part-of=mine',
  'commonLabels.app\\.kubernetes\\.io/managed-by=mine',
  'podLabels.app\\.kubernetes\\.io/name=mine',
  'podLabels.app\\.kubernetes\\.io/version=mine',
  'podAnnotations.kubectl\\.kubernetes\\.io/default-container=mine',
];

const renderings: readonly Rendering[] = [
  { chart: 'lcow-operator' },
  { chart: 'lcow-operator', values: 'operator-production' },
  {
    chart: 'lcow-operator',
    set: [
      ...clashing,
      'commonLabels.rbac\\.authorization\\.k8s\\.io/aggregate-to-view=mine',
      'commonLabels.lcow\\.dev/service=mine',
      'monitoring.serviceMonitor.enabled=true',
      'monitoring.serviceMonitor.labels.app\\.kubernetes\\.io/instance=my-prometheus',
      'monitoring.prometheusRule.enabled=true',
      'monitoring.prometheusRule.labels.app\\.kubernetes\\.io/part-of=my-prometheus',
    ],
  },
  { chart: 'lcow-agent' },
  { chart: 'lcow-agent', values: 'agent-confidential' },
  { chart: 'lcow-operator', values: 'operator-openshift' },
  { chart: 'lcow-agent', values: 'agent-monitored' },
  {
    chart: 'lcow-agent',
    set: [
      ...clashing,
      'namespace.create=true',
      'commonLabels.pod-security\\.kubernetes\\.io/enforce=restricted',
      'extraEnv[0].name=NODE_OPTIONS',
      'extraEnv[0].value=mine',
    ],
  },
];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kustomize-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function built(rendering: Rendering): Promise<readonly Rendered[]> {
  await writeFile(join(folder, 'kustomization.yaml'), 'resources: [rendered.yaml]\n');
  const rendered = await helm(['template', ...chartArguments(rendering), ...ofSomeCluster]);
  await writeFile(join(folder, 'rendered.yaml'), rendered);
  const { kubectl } = await findBinaries({ controllers: false });
  const { code, stdout, stderr } = await runKubectl({ kubectl, kubeconfigPath: '' }, ['kustomize', folder]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return parseObjects(stdout);
}

const named = (objects: readonly Rendered[], kind: string, name: string) =>
  objects.find((each) => each.kind === kind && each.metadata.name === name);

describe('kustomize', () => {
  it.each(renderings)('builds %j', async (rendering) => {
    expect((await built(rendering)).length).toBeGreaterThan(2);
  });

  it('keeps the labels of selectors as the chart has them, and other labels as the user has them', async () => {
    const objects = await built({ chart: 'lcow-operator', set: clashing });
    expect(named(objects, 'Deployment', 'lcow-operator')).toMatchObject({
      metadata: {
        labels: {
          'app.kubernetes.io/name': 'lcow-operator',
          'app.kubernetes.io/part-of': 'mine',
          'app.kubernetes.io/managed-by': 'Helm',
        },
      },
      spec: {
        template: {
          metadata: {
            labels: { 'app.kubernetes.io/name': 'lcow-operator', 'app.kubernetes.io/version': 'mine' },
            annotations: { 'kubectl.kubernetes.io/default-container': 'mine' },
          },
        },
      },
    });
    expect(named(objects, 'Pod', 'lcow-operator-test')?.metadata.labels).toMatchObject({
      'app.kubernetes.io/component': 'test',
    });
  });
});
