// Runs the commands of the pages in docs/, in order, on a cluster whose pods run, and compares their output with the
// pages.
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helm, helm4 } from '../support/charts/helm.ts';
import { chartArguments, render } from '../support/charts/rendered.ts';
import { filesOf, follow, type Shell, type Step, stepsOf } from '../support/docs/steps.ts';
import { RunningCluster } from '../support/kubelet/cluster.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const page = (name: string) => readFile(join(project, `docs/${name}.md`), 'utf8');
const [install = '', gitops = '', reasons = ''] = await Promise.all(['install', 'gitops', 'reasons'].map(page));
/** The pages that are run while everything is installed. */
const between = new Map(
  await Promise.all(
    ['operations', 'troubleshooting', 'confidential', 'batch-job', 'service'].map(
      async (name) => [name, await page(name)] as const,
    ),
  ),
);
const secondHalf = install.indexOf('## Who may do what');

let cluster: RunningCluster;
/** The metrics of the operator, read while it was installed. */
let metrics = '';
let folder: string;
let shell: Shell;

beforeAll(async () => {
  cluster = await RunningCluster.start(['win-2025-a']);
  // The checkout, together with the files of the page.
  folder = await mkdtemp(join(tmpdir(), 'docs-'));
  for (const name of ['charts', 'examples']) await symlink(join(project, name), join(folder, name));
  for (const text of [install, ...between.values()]) {
    for (const [name, content] of filesOf(text)) await writeFile(join(folder, name), content);
  }
  // A cluster with the Prometheus operator.
  await cluster.$('apply -f -', await readFile(new URL('../charts/monitoring-crds.yaml', import.meta.url), 'utf8'));
  const { kubectl, kubeconfigPath } = cluster.controlPlane;
  const programs = [dirname(await helm4.path()), dirname(kubectl)].join(':');
  const environment = { ...process.env, PATH: `${programs}:${process.env['PATH']}`, KUBECONFIG: kubeconfigPath };
  shell = { folder, environment: { ...environment, HELM_CACHE_HOME: join(folder, 'helm') } };
}, 900_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function take(step: Step): Promise<void> {
  await follow(step, shell);
  if (step.command === 'kubectl get luvmhost') metrics = await readMetrics();
}

describe('docs/install.md, installing', () => {
  it.each(stepsOf(install.slice(0, secondHalf)))('$command', { timeout: 180_000 }, take);
});

for (const [name, text] of between) {
  describe(`docs/${name}.md`, () => {
    it.each(stepsOf(text))('$command', { timeout: 180_000 }, take);

    it('links to existing reasons', () => {
      const anchors = new Set([...reasons.matchAll(/^### (\w+)$/gm)].map(([, reason = '']) => reason.toLowerCase()));
      const links = [...text.matchAll(/reasons\.md#(\w+)/g)].map(([, anchor = '']) => anchor);
      expect(links.filter((anchor) => !anchors.has(anchor))).toEqual([]);
    });

    it('names existing metrics of the operator', () => {
      const named = [...text.matchAll(/`(lcow_\w+)/g)].map(([, metric = '']) => metric);
      expect(named.filter((metric) => !metrics.includes(`# TYPE ${metric} `))).toEqual([]);
    });
  });
}

describe('docs/install.md, the rest', () => {
  it.each(stepsOf(install.slice(secondHalf)))('$command', { timeout: 180_000 }, take);

  it.each(['operator', 'agent'])(
    'has values that the chart of the %s accepts, with the image that the page shows how to build',
    async (program) => {
      const values = ['--values', join(folder, `${program}-values.yaml`)];
      const rendered = await helm(['template', ...chartArguments({ chart: `lcow-${program}` }), ...values]);
      const images = new Set([...rendered.matchAll(/^ +image: (\S+)$/gm)].map(([, image]) => image));
      const built = [...install.matchAll(/ --tag (\S+) --push \.$/gm)].map(([, tag]) => tag);
      expect(built).toHaveLength(2);
      expect([...images]).toEqual(built.filter((tag) => tag?.includes(program)));
    },
  );

  it('passes a values file to each chart that it installs or upgrades', () => {
    const commands = stepsOf(install).map(({ command }) => command);
    const deploying = commands.filter((command) => /^helm (install|upgrade) /.test(command));
    expect(deploying).toHaveLength(5);
    for (const command of deploying) expect(command).toMatch(/charts\/lcow-(\w+) .*--values \1-values\.yaml/);
  });

  it('has a runbook for every alert', async () => {
    const objects = await render({ chart: 'lcow-operator', values: 'operator-production' });
    const text = JSON.stringify(objects.find(({ kind }) => kind === 'PrometheusRule'));
    const alerts = [...text.matchAll(/"alert":"(\w+)"/g)].map(([, name = '']) => name);
    expect([...install.matchAll(/^### (Lcow\w+)$/gm)].map(([, name]) => name)).toEqual(alerts);
    for (const name of alerts) expect(text).toContain(`install.md#${name.toLowerCase()}"`);
  });
});

it('the alerts use existing metrics of the operator', async () => {
  const objects = await render({ chart: 'lcow-operator', values: 'operator-production' });
  const rules = JSON.stringify(objects.find(({ kind }) => kind === 'PrometheusRule'));
  const asked = [...rules.matchAll(/\blcow_\w+/g)].map(([name]) => name);
  expect(asked.length).toBeGreaterThan(5);
  expect(asked.filter((name) => !metrics.includes(`# TYPE ${name} `))).toEqual([]);
});

describe('docs/gitops.md', () => {
  it.each(stepsOf(gitops))('$command', take);
});

/** As Prometheus reads them, by the address of the Service. */
async function readMetrics(): Promise<string> {
  const address = '-o jsonpath={.spec.clusterIP}:{.spec.ports[0].port}';
  const service = await cluster.$(`get service lcow-operator-metrics -n lcow-system ${address}`);
  return await (await fetch(`http://${service}/metrics`)).text();
}
