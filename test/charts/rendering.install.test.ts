// The manifests that Helm renders from the charts, without a cluster.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defaultTimeouts, longestLadder } from '../../agent/bounds/timeouts.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { subresourceGroup, subresources, verbsOf } from '../../protocol/subresources.ts';
import { chartFolder, helm, helm3, helm4, runHelm } from '../support/charts/helm.ts';
import {
  chartArguments,
  isHook,
  ofSomeCluster,
  parseObjects,
  type Rendered,
  render,
  title,
  valuesFile,
} from '../support/charts/rendered.ts';

const run = promisify(execFile);
/** The first run on a machine builds Helm. */
const buildTimeout = 900_000;

const cases = [
  { chart: 'lcow-operator' },
  { chart: 'lcow-operator', values: 'operator-production' },
  { chart: 'lcow-operator', values: 'operator-small' },
  { chart: 'lcow-operator', values: 'operator-openshift' },
  { chart: 'lcow-agent' },
  { chart: 'lcow-agent', values: 'agent-elsewhere' },
  { chart: 'lcow-agent', values: 'agent-confidential' },
  { chart: 'lcow-agent', values: 'agent-monitored' },
] as const;

const podSpec = z.looseObject({
  containers: z.array(z.looseObject({ image: z.string(), args: z.array(z.string()).default([]) })).min(1),
});
const workload = z.looseObject({ spec: z.object({ template: z.object({ spec: podSpec }) }).loose() });

beforeAll(async () => {
  await helm(['version']);
}, buildTimeout);

describe.each(cases)('$chart with values $values', (rendering) => {
  it('passes helm lint --strict', async () => {
    const values = 'values' in rendering ? ['--values', valuesFile(rendering.values)] : [];
    const { code, stdout, stderr } = await runHelm(['lint', '--strict', chartFolder(rendering.chart), ...values]);
    expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
  });

  it('labels every object and puts it into the namespace of the release', async () => {
    const objects = (await render(rendering)).filter(({ metadata }) => metadata.name !== 'lcow-operator-extra');
    const own = objects.filter(({ metadata }) => metadata.name !== 'lcow-ca');
    for (const each of own) {
      expect(each.metadata.labels, title(each)).toMatchObject({
        'app.kubernetes.io/instance': rendering.chart,
        'app.kubernetes.io/managed-by': 'Helm',
        'app.kubernetes.io/part-of': 'lcow',
      });
      // The API server's own ConfigMap can be read only in kube-system.
      const isReader = each.metadata.name === 'lcow-operator-authentication-reader';
      // Values can put these into the namespace that Prometheus watches.
      const outside = each.apiVersion === 'monitoring.coreos.com/v1' ? 'monitoring' : isReader && 'kube-system';
      expect(['lcow-system', outside, undefined]).toContain(each.metadata.namespace);
    }
  });
});

describe('Helm 3', () => {
  it.each(cases)('renders $chart with values $values as Helm 4 does', async (rendering) => {
    const args = ['template', ...chartArguments(rendering), ...ofSomeCluster];
    const { code, stdout, stderr } = await helm3.run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(parseObjects(stdout)).toEqual(parseObjects(await helm(args)));
  });
});

describe('the pod of an agent', () => {
  it('has time to stop all VMs that end with it, and to unmount the disks of each', async () => {
    const objects = await render({ chart: 'lcow-agent' });
    const pod = z.looseObject({ terminationGracePeriodSeconds: z.int() });
    const agent = objects.find(({ kind }) => kind === 'DaemonSet');
    const { terminationGracePeriodSeconds: grace } = z
      .looseObject({ spec: z.looseObject({ template: z.looseObject({ spec: pod }) }) })
      .parse(agent).spec.template.spec;
    expect(longestLadder(defaultTimeouts)).toBeLessThan(defaultTimeouts.agentEnd);
    expect(defaultTimeouts.agentEnd).toBeLessThan(grace * 1000);
  });
});

describe('versions', () => {
  it.each(['lcow-operator', 'lcow-agent'])('of %s are those of the package', async (chart) => {
    const shown = await helm(['show', 'chart', chartFolder(chart)]);
    expect(shown).toContain(`\nversion: ${packageJson.version}\n`);
    expect(shown).toContain(`appVersion: ${packageJson.version}\n`);
    expect(shown).toMatch(new RegExp(`image: \\S+/${chart}:${packageJson.version}\\n`));
  });

  it('of the changelog and the package are equal', async () => {
    const changelog = await readFile(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
    expect(/^## (\S+)/m.exec(changelog)?.[1]).toBe(packageJson.version);
  });

  it.each(['lcow-operator', 'lcow-agent'])('of Kubernetes that %s does not support are refused', async (chart) => {
    const { stderr } = await runHelm(['template', ...chartArguments({ chart }), '--kube-version', '1.31.4']);
    expect(stderr).toContain('kubeVersion');
  });
});

describe('the schema of values refuses', () => {
  it.each([
    ['lcow-operator', 'replicas=0', '/replicas'],
    ['lcow-operator', 'replicas=two', '/replicas'],
    ['lcow-operator', 'replica=2', 'replica'],
    ['lcow-operator', 'image.digest=sha256:abc', '/image/digest'],
    ['lcow-operator', 'image.pullPolicy=Sometimes', '/image/pullPolicy'],
    ['lcow-operator', 'crds.keep=maybe', '/crds/keep'],
    ['lcow-operator', 'service.type=ExternalName', '/service/type'],
    ['lcow-operator', 'imagePullSecrets[0]=registry', '/imagePullSecrets/0'],
    ['lcow-agent', 'operator.url=ws://operator:8443', '/operator/url'],
    ['lcow-agent', 'token.expirationSeconds=60', '/token/expirationSeconds'],
    ['lcow-agent', 'updateStrategy.type=Recreate', '/updateStrategy/type'],
    ['lcow-agent', 'stateDir=/var/lib/lcow', '/stateDir'],
    ['lcow-agent', 'healthPort=0', '/healthPort'],
    ['lcow-operator', 'service.ipFamilyPolicy=Dual', '/service/ipFamilyPolicy'],
    ['lcow-operator', 'strategy.type=OnDelete', '/strategy'],
    ['lcow-operator', 'probes.liveness.periodSeconds=soon', '/probes/liveness'],
    ['lcow-operator', 'monitoring.serviceMonitor.scrapeTimeout=10', '/monitoring/serviceMonitor/scrapeTimeout'],
    ['lcow-operator', 'monitoring.prometheusRule.alerts.Mine.enabled=true', 'Mine'],
    ['lcow-agent', 'metrics.port=70000', '/metrics/port'],
    ['lcow-agent', 'monitoring.podMonitor.scrape=10s', 'scrape'],
  ])('%s --set %s, naming the key', async (chart, set, key) => {
    const { code, stderr } = await runHelm(['template', ...chartArguments({ chart, set: [set] })]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(key);
  });
});

it.each(['lcow-operator', 'lcow-agent'] as const)('the test pod of %s says what it needs', async (chart) => {
  const pod = (await render({ chart })).find(({ kind }) => kind === 'Pod');
  const resources = z.object({ requests: z.object({ cpu: z.string(), memory: z.string() }), limits: z.object({}) });
  const { containers } = z.object({ containers: z.array(z.object({ resources })) }).parse(pod?.['spec']);
  expect(containers).toHaveLength(1);
});

describe('backslashes in --set', () => {
  it.each([
    ['allowedPaths', String.raw`{D:\images}`, String.raw`{D:\\images:ro}`, String.raw`--allowed-path=D:\images:ro`],
    ['allowedPipes', String.raw`{\\.\pipe\a}`, String.raw`{\\\\.\\pipe\\a}`, String.raw`--allowed-pipe=\\.\pipe\a`],
    ['allowedDevices', String.raw`{PCIP\VEN_*}`, String.raw`{PCIP\\VEN_*}`, String.raw`--allowed-device=PCIP\VEN_*`],
    ['stateDir', String.raw`D:\lcow`, String.raw`D:\\lcow`, String.raw`--state-dir=D:\lcow`],
  ])('of %s: %s is refused with the correct spelling, %s is accepted', async (name, once, twice, argument) => {
    const args = chartArguments({ chart: 'lcow-agent', set: [`${name}=${once}`] });
    for (const tool of [helm4, helm3]) {
      const { code, stderr } = await tool.run(['template', ...args]);
      expect(code).not.toBe(0);
      expect(stderr).toContain('In --set write every backslash twice');
    }
    const [daemonSet] = (await render({ chart: 'lcow-agent', set: [`${name}=${twice}`] })).filter(
      ({ kind }) => kind === 'DaemonSet',
    );
    expect(workload.parse(daemonSet).spec.template.spec.containers[0]?.args).toContain(argument);
  });
});

describe('an image', () => {
  it.each([
    [[], 'ghcr.io/lcow-dev/lcow-operator:0.1.0'],
    [['image.registry=registry.example.com', 'image.tag=edge'], 'registry.example.com/lcow-dev/lcow-operator:edge'],
    [[`image.digest=sha256:${'0'.repeat(64)}`], `ghcr.io/lcow-dev/lcow-operator:0.1.0@sha256:${'0'.repeat(64)}`],
  ])('with %s is %s', async (set, image) => {
    const [deployment] = (await render({ chart: 'lcow-operator', set })).filter(({ kind }) => kind === 'Deployment');
    expect(workload.parse(deployment).spec.template.spec.containers[0]?.image).toBe(image);
  });
});

describe('flags', () => {
  /** Flags of the chart that the program does not have yet. This list must become empty. */
  const awaited: Readonly<Record<string, readonly string[]>> = { operator: [], agent: [] };

  it.each([
    ['operator', 'Deployment', ['operator-production', 'operator-openshift']],
    ['agent', 'DaemonSet', ['agent-elsewhere', 'agent-confidential', 'agent-monitored']],
  ] as const)('of the %s are those of the program', async (program, kind, values) => {
    const help = await helpOf(program);
    const rendered = await Promise.all(
      [undefined, ...values].map((file) =>
        render({ chart: `lcow-${program}`, ...(file !== undefined && { values: file }), set: ['extraArgs=null'] }),
      ),
    );
    const used = new Set(rendered.flatMap((objects) => flagsOf(objects.filter((each) => each.kind === kind))));
    const known = (flag: string) => help.includes(`${flag} `) || awaited[program]?.includes(flag) === true;
    expect([...used].filter((flag) => !known(flag))).toEqual([]);
  });

  async function helpOf(program: string): Promise<string> {
    const arguments_ = program === 'agent' ? ['run', '--help'] : ['--help'];
    const { stdout } = await run(process.execPath, [`${program}/main.ts`, ...arguments_]);
    return stdout;
  }

  function flagsOf(objects: readonly Rendered[]): readonly string[] {
    const containers = objects.flatMap((each) => workload.parse(each).spec.template.spec.containers);
    return containers.flatMap(({ args }) => args.map((argument) => argument.split('=')[0] ?? ''));
  }
});

describe('helm test of the operator', () => {
  const testPod = z.looseObject({
    spec: z.object({ containers: z.tuple([z.looseObject({ args: z.array(z.string()) })]) }),
  });

  it.each([
    [200, 'ok', 0],
    [503, 'nodes have not been listed', 1],
  ])('passes or fails as /readyz says: %d', async (status, said, expected) => {
    await using server = await answering(status, said);
    const pod = (await render({ chart: 'lcow-operator' })).find(({ kind }) => kind === 'Pod');
    const env = { LCOW_OPERATOR_METRICS_SERVICE_HOST: '127.0.0.1', LCOW_OPERATOR_METRICS_SERVICE_PORT: server.port };
    const ended = run(process.execPath, testPod.parse(pod).spec.containers[0].args, { env }).then(
      ({ stdout }) => ({ code: 0, stdout }),
      ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
    );
    expect(await ended).toEqual({ code: expected, stdout: said });
  });

  async function answering(status: number, text: string) {
    const server = createServer((request, response) => {
      response.writeHead(request.url === '/readyz' ? status : 404).end(text);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = String(typeof address === 'object' && address !== null ? address.port : 0);
    return { port, [Symbol.asyncDispose]: async () => void server.close() };
  }
});

describe('the agent', () => {
  it('dials the Service by the variables that every pod of the namespace has', async () => {
    const text = JSON.stringify(await render({ chart: 'lcow-agent' }));
    expect(text).toContain('wss://$(LCOW_OPERATOR_SERVICE_HOST):$(LCOW_OPERATOR_SERVICE_PORT_AGENTS)/v1/agents');
    const services = (await render({ chart: 'lcow-operator' })).filter(({ kind }) => kind === 'Service');
    expect(services.map(({ metadata }) => metadata.name)).toContain('lcow-operator');
  });

  it("trusts the ConfigMap of the operator's release", async () => {
    const maps = (await render({ chart: 'lcow-operator' })).filter(
      (each) => each.kind === 'ConfigMap' && !isHook(each),
    );
    expect(maps.map(({ metadata }) => metadata.name)).toEqual(['lcow-operator-ca']);
    expect(JSON.stringify(await render({ chart: 'lcow-agent' }))).toContain('"configMap":{"name":"lcow-operator-ca"');
  });
});

describe('the roles of users', () => {
  const ruled = z.looseObject({
    rules: z.array(
      z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
    ),
  });

  /** The verbs that the role allows on the aggregated API, by subresource. */
  async function verbsIn(role: string): Promise<Readonly<Record<string, readonly string[]>>> {
    const found = (await render({ chart: 'lcow-operator' })).find(({ metadata }) => metadata.name === role);
    const rules = ruled.parse(found).rules.filter(({ apiGroups }) => apiGroups.includes(subresourceGroup));
    return Object.fromEntries(
      rules.flatMap(({ resources, verbs }) => resources.map((each) => [each, verbs.toSorted()])),
    );
  }

  it('have every verb that a subresource needs, and readers can start nothing', async () => {
    const [view, edit] = [await verbsIn('lcow-operator-view'), await verbsIn('lcow-operator-edit')];
    expect(view).toEqual({ 'linuxutilityvms/log': ['get'], 'linuxutilityvms/usage': ['get'] });
    const needed = subresources.map((each) => [`linuxutilityvms/${each}`, verbsOf(each)]);
    expect({ ...view, ...edit }).toEqual(Object.fromEntries(needed));
  });
});
