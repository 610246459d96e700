// Features of comparable charts that users expect in these charts: the table in the README of each chart, row by row.
// Each values file is rendered once.
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { generatedFiles } from '../../charts/generate.ts';
import { chartFolder, helm3, runHelm } from '../support/charts/helm.ts';
import { testRules } from '../support/charts/promql.ts';
import {
  chartArguments,
  isHook,
  ofSomeCluster,
  parseObjects,
  type Rendered,
  render,
} from '../support/charts/rendered.ts';

let operator: readonly Rendered[];
let agent: readonly Rendered[];

beforeAll(async () => {
  [operator, agent] = await Promise.all([
    render({ chart: 'lcow-operator', values: 'operator-openshift' }),
    render({ chart: 'lcow-agent', values: 'agent-monitored' }),
  ]);
}, 900_000);

function find(objects: readonly Rendered[], kind: string, name: string): Rendered {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

const workload = z.looseObject({
  spec: z.looseObject({
    template: z.looseObject({ spec: z.looseObject({ containers: z.tuple([z.looseObject({})]) }) }),
  }),
});
const podOf = (object: Rendered) => workload.parse(object).spec.template.spec;
const problemOf = async (chart: string, ...set: string[]) =>
  (await runHelm(['template', ...chartArguments({ chart, set })])).stderr;

it.each([
  ['lcow-operator', 'monitoring.serviceMonitor', []],
  ['lcow-operator', 'monitoring.podMonitor', []],
  ['lcow-agent', 'monitoring.podMonitor', ['metrics.enabled=true', 'metrics.anonymous=true']],
])(
  '%s refuses a scrape that may take longer than the interval, which Prometheus would ignore: %s',
  async (chart, monitor, set) => {
    const timed = [...set, `${monitor}.enabled=true`, `${monitor}.interval=1m`];
    expect(await problemOf(chart, ...timed, `${monitor}.scrapeTimeout=61s`)).toContain('is longer than interval 1m');
    expect(await problemOf(chart, ...timed, `${monitor}.scrapeTimeout=60000ms`)).toBe('');
    expect(await problemOf(chart, ...timed, `${monitor}.interval=`, `${monitor}.scrapeTimeout=1m`)).toBe('');
  },
);

describe('the operator', () => {
  it('leaves the user of its pods to the platform, in every pod', () => {
    const security = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, supplementalGroups: [3000] };
    const pod = podOf(find(operator, 'Deployment', 'lcow-operator'));
    const container = { readOnlyRootFilesystem: true, seccompProfile: { type: 'RuntimeDefault' } };
    expect(pod['securityContext']).toEqual(security);
    expect(pod.containers[0]).toMatchObject({ securityContext: container });
    expect(find(operator, 'Pod', 'lcow-operator-test')).toMatchObject({ spec: { securityContext: security } });
  });

  it.each([['podSecurityContext=null'], ['securityContext=null']])(
    'accepts --set %s with Helm 3 as well',
    async (set) => {
      const args = ['template', ...chartArguments({ chart: 'lcow-operator', set: [set] }), ...ofSomeCluster];
      const { code, stdout, stderr } = await helm3.run(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const pod = podOf(find(parseObjects(stdout), 'Deployment', 'lcow-operator'));
      const { securityContext } = set.startsWith('pod') ? pod : pod.containers[0];
      expect(securityContext).toBeUndefined();
    },
  );

  it('annotates every object, and keeps its own annotations', () => {
    for (const { kind, metadata } of operator) {
      expect(metadata.annotations, `${kind} ${metadata.name}`).toMatchObject({ 'example.com/team': 'platform' });
    }
    expect(find(operator, 'ClusterRole', 'lcow-operator-edit').metadata.annotations).toMatchObject({
      'lcow.dev/allows': expect.stringContaining('Creating VMs'),
    });
    for (const each of operator.filter(({ kind }) => kind === 'CustomResourceDefinition')) {
      expect(each.metadata.annotations).toMatchObject({ 'helm.sh/resource-policy': 'keep' });
    }
    expect(operator.filter(isHook)).toHaveLength(2);
    expect(find(operator, 'ServiceAccount', 'lcow-operator').metadata.annotations).toMatchObject({
      'eks.amazonaws.com/role-arn': expect.stringContaining('role/lcow'),
    });
  });

  it('has the settings of a Service that clusters require', async () => {
    const { metadata, ...service } = find(operator, 'Service', 'lcow-operator');
    const families = { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv4'] };
    expect(metadata.annotations).toMatchObject({ 'example.com/balancer': 'internal' });
    expect(service['spec']).toMatchObject({
      type: 'LoadBalancer',
      ...families,
      loadBalancerClass: 'example.com/internal',
      loadBalancerSourceRanges: ['192.0.2.0/24', '2001:db8::/32'],
      externalTrafficPolicy: 'Local',
    });
    expect(find(operator, 'Service', 'lcow-operator-metrics')['spec']).toMatchObject({
      type: 'ClusterIP',
      ...families,
    });
    const balancer = 'service.loadBalancerClass=example.com/internal';
    expect(await problemOf('lcow-operator', balancer)).toContain('need service.type LoadBalancer');
    expect(await problemOf('lcow-operator', 'service.externalTrafficPolicy=Local')).toContain('needs service.type');
  });

  it('has the settings of a pod and a Deployment that clusters require', () => {
    const deployment = find(operator, 'Deployment', 'lcow-operator');
    expect(deployment['spec']).toMatchObject({ revisionHistoryLimit: 0, strategy: { type: 'Recreate' } });
    expect(JSON.stringify(deployment)).not.toContain('rollingUpdate');
    const { containers, ...pod } = podOf(deployment);
    expect(pod).toMatchObject({
      hostAliases: [{ ip: '192.0.2.1', hostnames: ['api.example.com'] }],
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['192.0.2.53'] },
      volumes: [{ name: 'metrics' }, { name: 'traces' }, { name: 'proxy-ca', configMap: { name: 'proxy-ca' } }],
    });
    expect(containers[0]).toMatchObject({
      volumeMounts: [
        { name: 'metrics' },
        { name: 'traces' },
        { name: 'proxy-ca', mountPath: '/etc/proxy-ca', readOnly: true },
      ],
      startupProbe: { periodSeconds: 2, failureThreshold: 30 },
    });
    expect(containers[0]['livenessProbe']).toEqual({
      httpGet: { path: '/healthz', port: 'health' },
      periodSeconds: 10,
      failureThreshold: 12,
    });
  });

  it('limits its connections', () => {
    const selected = { matchLabels: { 'app.kubernetes.io/name': 'lcow-operator' } };
    expect(find(operator, 'NetworkPolicy', 'lcow-operator')['spec']).toMatchObject({
      policyTypes: ['Ingress', 'Egress'],
      egress: [
        { ports: [{ port: 6443 }], to: [{ ipBlock: { cidr: '192.0.2.1/32' } }] },
        { ports: [{ port: 'api' }], to: [{ podSelector: selected }] },
        {
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        },
        { ports: [{ port: 443, protocol: 'TCP' }] },
        { to: [{ ipBlock: { cidr: '198.51.100.0/24' } }] },
      ],
    });
  });

  it('serves metrics over TLS, and its monitor uses TLS', async () => {
    const pod = podOf(find(operator, 'Deployment', 'lcow-operator'));
    expect(pod.containers[0]['args']).toEqual(
      expect.arrayContaining(['--metrics-port=8445', '--metrics-client-ca=/var/run/secrets/lcow-metrics/ca.crt']),
    );
    const { metadata, ...monitor } = find(operator, 'PodMonitor', 'lcow-operator');
    expect(metadata).toMatchObject({
      namespace: 'monitoring',
      labels: { release: 'prometheus' },
      annotations: { 'example.com/owner': 'mine' },
    });
    expect(monitor['spec']).toMatchObject({
      namespaceSelector: { matchNames: ['lcow-system'] },
      podMetricsEndpoints: [
        {
          port: 'metrics',
          path: '/metrics',
          scheme: 'https',
          interval: '1m',
          scrapeTimeout: '20s',
          honorLabels: true,
          relabelings: [{ targetLabel: 'node' }],
          metricRelabelings: [{ action: 'drop' }],
          tlsConfig: {
            serverName: 'lcow-operator-metrics',
            ca: { secret: { name: 'lcow-operator-metrics', key: 'ca.crt' } },
            cert: { secret: { name: 'prometheus' } },
          },
          authorization: { type: 'Bearer', credentials: { name: 'lcow-readers', key: 'token' } },
        },
      ],
    });
    const open = ['metrics.tls.secretName=a', 'metrics.tls.clientCAKey='];
    expect(await problemOf('lcow-operator', ...open)).toContain('needs readers');
    expect(await problemOf('lcow-operator', 'metrics.token.secretName=a')).toContain('needs metrics.tls.secretName');
    const both = ['serviceMonitor', 'podMonitor'].map((kind) => `monitoring.${kind}.enabled=true`);
    expect(await problemOf('lcow-operator', ...both)).toContain('twice');
  });

  it('sends traces to a collector, with a token only over HTTPS', async () => {
    const { containers, volumes } = podOf(find(operator, 'Deployment', 'lcow-operator'));
    const flags = ['--traces-endpoint=https://collector.example.com/otlp'];
    expect(containers[0]['args']).toEqual(
      expect.arrayContaining([...flags, '--traces-token-file=/var/run/secrets/lcow-traces/token']),
    );
    const items = [{ key: 'write', path: 'token' }];
    expect(volumes).toContainEqual({ name: 'traces', secret: { secretName: 'collector', optional: true, items } });
    const unsafe = ['traces.token.secretName=a', 'traces.endpoint=http://collector:4318'];
    expect(await problemOf('lcow-operator', ...unsafe)).toContain('everyone on the way could read the token');
    expect(await problemOf('lcow-operator', 'traces.endpoint=collector:4318')).toContain('/traces/endpoint');
    const limited = ['networkPolicy.enabled=true', 'networkPolicy.egress.enabled=true'];
    const set = [...limited, 'traces.endpoint=http://collector.observability:4318'];
    const policy = find(await render({ chart: 'lcow-operator', set }), 'NetworkPolicy', 'lcow-operator');
    expect(policy['spec']).toMatchObject({ egress: [{}, {}, {}, { ports: [{ port: 4318 }] }] });
  });

  it('has switches and thresholds for each alert', () => {
    const rule = z.looseObject({
      alert: z.string(),
      expr: z.string(),
      for: z.string().optional(),
      labels: z.record(z.string(), z.string()).optional(),
    });
    const spec = z.looseObject({ groups: z.tuple([z.looseObject({ rules: z.array(rule) })]) });
    const object = find(operator, 'PrometheusRule', 'lcow-operator');
    expect(object.metadata.namespace).toBe('monitoring');
    const { rules } = spec.parse(object['spec']).groups[0];
    const [leader, sessions, failed, unexpected] = rules;
    expect(rules.map(({ alert }) => alert)).toEqual([
      'LcowOperatorNoLeader',
      'LcowAgentSessionsLost',
      'LcowVirtualMachinesFailed',
      'LcowUnexpected',
      'Mine',
    ]);
    expect(leader).toMatchObject({ for: '10m', labels: { severity: 'page', team: 'platform' } });
    expect(sessions?.expr).toMatch(/< \(1 - 0\.25\) \* .*\[2h:\]/);
    expect(failed?.expr).toMatch(/^max by \(node\) .* > 3$/);
    expect(unexpected?.expr).toMatch(/\[1h\]\)\) > 5$/);
  });
});

describe('the monitoring of the operator', () => {
  it('has dashboards for the sidecar of Grafana', async () => {
    const dashboards = 'monitoring.dashboards';
    const set = [
      `${dashboards}.enabled=true`,
      `${dashboards}.namespace=grafana`,
      `${dashboards}.annotations.grafana_folder=LCOW`,
    ];
    const maps = (await render({ chart: 'lcow-operator', set })).filter(({ metadata }) =>
      /-dashboard$/.test(metadata.name),
    );
    expect(maps.map(({ metadata }) => metadata.name)).toEqual([
      'lcow-boot-dashboard',
      'lcow-fleet-dashboard',
      'lcow-host-dashboard',
      'lcow-log-loss-dashboard',
    ]);
    for (const { data, metadata } of maps.map((each) =>
      z
        .looseObject({ data: z.record(z.string(), z.string()) })
        .and(z.custom<Rendered>())
        .parse(each),
    )) {
      expect(metadata).toMatchObject({
        namespace: 'grafana',
        labels: { grafana_dashboard: '1' },
        annotations: { grafana_folder: 'LCOW' },
      });
      const [[file, text] = ['', '']] = Object.entries(data);
      expect(JSON.parse(text)).toMatchObject({
        uid: file.replace('.json', ''),
        templating: { list: expect.arrayContaining([expect.objectContaining({ name: 'release' })]) },
      });
      expect(text.trim()).toBe(generatedFiles().get(`lcow-operator/dashboards/${file}`)?.trim());
    }
  });

  it('raises each alert with a description, and is silent otherwise', async () => {
    const objects = await render({ chart: 'lcow-operator', set: ['monitoring.prometheusRule.enabled=true'] });
    const rules = JSON.stringify(find(objects, 'PrometheusRule', 'lcow-operator')['spec']);
    const of = (name: string, labels = '') => `${name}{namespace="lcow-system"${labels}}`;
    const calm = [
      { series: of('lcow_build_info'), values: '1x60' },
      { series: of('lcow_leader', ',pod="a"'), values: '1x60' },
      { series: of('lcow_agent_sessions', ',pod="a"'), values: '10x60' },
      { series: of('lcow_virtual_machines', ',phase="Failed",node="n",pod="a"'), values: '0x60' },
      { series: of('lcow_unexpected_total', ',what="w"'), values: '0x60' },
    ];
    const bad = [
      { series: of('lcow_leader', ',pod="a"'), values: '0x60' },
      { series: of('lcow_agent_sessions', ',pod="a"'), values: '10x20 8x40' },
      ...['a', 'b'].map((pod) => ({
        series: of('lcow_virtual_machines', `,phase="Failed",node="n",pod="${pod}"`),
        values: '2x60',
      })),
      { series: of('lcow_unexpected_total', ',what="w"'), values: '0x50 1x10' },
    ];
    const alerts = [
      'LcowOperatorAbsent',
      'LcowOperatorNoLeader',
      'LcowAgentSessionsLost',
      'LcowVirtualMachinesFailed',
      'LcowUnexpected',
    ];
    const critical = ['LcowOperatorAbsent', 'LcowOperatorNoLeader'];
    const labels: Readonly<Record<string, object>> = {
      LcowOperatorAbsent: { namespace: 'lcow-system' },
      LcowVirtualMachinesFailed: { node: 'n' },
      LcowUnexpected: { what: 'w' },
    };
    const summaries: Readonly<Record<string, string>> = {
      LcowOperatorAbsent: 'Prometheus scrapes no operator of Linux utility VMs.',
      LcowOperatorNoLeader:
        'No replica of the operator leads. VMs keep running, but changes of them are neither made nor reported.',
      LcowAgentSessionsLost: 'More than 10 % of the agents that were connected within the last 1h are disconnected.',
      LcowVirtualMachinesFailed: '2 VMs on n have failed.',
      LcowUnexpected: 'The operator reported an unexpected event: w.',
    };
    const runbook = 'https://github.com/lcow-dev/lcow-operator/blob/main/docs/install.md';
    const raised = (alertname: string) => ({
      exp_labels: { severity: critical.includes(alertname) ? 'critical' : 'warning', ...labels[alertname] },
      exp_annotations: { summary: summaries[alertname], runbook_url: `${runbook}#${alertname.toLowerCase()}` },
    });
    const expecting = (exp: (name: string) => readonly object[]) =>
      alerts.map((alertname) => ({ alertname, eval_time: '55m', exp_alerts: exp(alertname) }));
    const test = {
      rule_files: ['rules.yaml'],
      evaluation_interval: '1m',
      tests: [
        { interval: '1m', input_series: calm, alert_rule_test: expecting(() => []) },
        { interval: '1m', input_series: bad, alert_rule_test: expecting((name) => [raised(name)]) },
      ],
    };
    const { code, said } = await testRules(test, { 'rules.yaml': rules });
    expect({ code, said: code === 0 ? '' : said }).toEqual({ code: 0, said: '' });
  }, 900_000);
});

it('the chart treats a value that is null as unset', async () => {
  const alerts = ['LcowOperatorAbsent', 'LcowAgentSessionsLost', 'LcowVirtualMachinesFailed', 'LcowUnexpected'];
  const names = [
    ...alerts.map((name) => `monitoring.prometheusRule.alerts.${name}`),
    ...[
      'strategy',
      'probes.liveness',
      'monitoring.serviceMonitor.tlsConfig',
      'monitoring.serviceMonitor.authorization',
    ],
  ];
  const enabled = [
    'metrics.tls.secretName=a',
    'monitoring.serviceMonitor.enabled=true',
    'monitoring.prometheusRule.enabled=true',
  ];
  const objects = await render({ chart: 'lcow-operator', set: [...enabled, ...names.map((name) => `${name}=null`)] });
  const rules = JSON.stringify(find(objects, 'PrometheusRule', 'lcow-operator'));
  expect([...rules.matchAll(/"alert":"(\w+)"/g)].map(([, name]) => name)).toEqual(['LcowOperatorNoLeader']);
  expect(JSON.stringify(find(objects, 'ServiceMonitor', 'lcow-operator'))).toContain(
    '"serverName":"lcow-operator-metrics"',
  );
  expect(find(objects, 'Deployment', 'lcow-operator')['spec']).not.toHaveProperty('strategy');
});

describe('the agent', () => {
  it('serves metrics to readers on the network, and its monitor is configured for that', async () => {
    const { containers } = podOf(find(agent, 'DaemonSet', 'lcow-agent'));
    const folder = String.raw`%CONTAINER_SANDBOX_MOUNT_POINT%\var\run\secrets\lcow-metrics`;
    expect(containers[0]['args']).toEqual(
      expect.arrayContaining(['--metrics-port=9182', `--metrics-client-ca=${folder}\\ca.crt`]),
    );
    expect(containers[0]['ports']).toEqual([{ name: 'metrics', containerPort: 9182, protocol: 'TCP' }]);
    expect(find(agent, 'PodMonitor', 'lcow-agent')['spec']).toMatchObject({
      podMetricsEndpoints: [
        {
          port: 'metrics',
          scheme: 'https',
          scrapeTimeout: '10s',
          relabelings: [{ sourceLabels: ['__meta_kubernetes_pod_node_name'], targetLabel: 'node' }],
          metricRelabelings: [{ action: 'labeldrop' }],
          tlsConfig: {
            serverName: 'agents.lcow.example.com',
            ca: { configMap: { name: 'lcow-metrics-ca', key: 'ca.crt' } },
            keySecret: { name: 'prometheus' },
          },
        },
      ],
    });
    expect(JSON.stringify(find(agent, 'PodMonitor', 'lcow-agent'))).not.toContain('"secret":{"key":"ca.crt"');
  });

  it('serves them without authentication only when told to', async () => {
    expect(await problemOf('lcow-agent', 'monitoring.podMonitor.enabled=true')).toContain('needs metrics.enabled');
    const enabled = 'metrics.enabled=true';
    expect(await problemOf('lcow-agent', enabled)).toContain('needs metrics.tls.secretName');
    const open = ['metrics.tls.secretName=a', 'metrics.tls.clientCAKey='];
    expect(await problemOf('lcow-agent', enabled, ...open)).toContain('metrics.tls.clientCAKey or');
    const set = [enabled, 'metrics.anonymous=true', 'monitoring.podMonitor.enabled=true'];
    const text = JSON.stringify(await render({ chart: 'lcow-agent', set }));
    expect(text).toContain('"--metrics-anonymous"');
    expect(text).not.toContain('"scheme":"https"');
  });

  it('has the settings of a pod that clusters require', () => {
    const { containers, ...pod } = podOf(find(agent, 'DaemonSet', 'lcow-agent'));
    expect(pod).toMatchObject({
      securityContext: { windowsOptions: { hostProcess: true } },
      hostAliases: [{ ip: '192.0.2.1' }],
      dnsConfig: { options: [{ name: 'ndots', value: '1' }] },
    });
    expect(pod['volumes']).toContainEqual({ name: 'images', hostPath: { path: String.raw`D:\images` } });
    expect(containers[0]).toMatchObject({
      startupProbe: { periodSeconds: 5, failureThreshold: 60 },
      securityContext: { windowsOptions: { runAsUserName: String.raw`NT AUTHORITY\SYSTEM` } },
    });
    expect(find(agent, 'DaemonSet', 'lcow-agent')['spec']).toMatchObject({ revisionHistoryLimit: 1 });
    for (const { metadata } of agent) expect(metadata.annotations).toMatchObject({ 'example.com/team': 'platform' });
    expect(find(agent, 'Namespace', 'lcow-system').metadata.annotations).toMatchObject({
      'helm.sh/resource-policy': 'keep',
    });
  });
});

describe.each(['lcow-operator', 'lcow-agent'])('the chart %s', (chart) => {
  it('names its maintainers and its source', async () => {
    const text = await readFile(`${chartFolder(chart)}/Chart.yaml`, 'utf8');
    for (const key of ['home', 'icon', 'sources', 'maintainers']) expect(text).toMatch(new RegExp(`^${key}:`, 'm'));
  });

  it('mentions in its comparison only values that it has', () => {
    const readme = generatedFiles().get(`${chart}/README.md`) ?? '';
    const comparison = /\n## Compared with other charts\n([\s\S]*?)\n## /.exec(readme)?.[1] ?? '';
    const rows = comparison.split('\n').filter((line) => line.startsWith('| '));
    expect(rows.length).toBeGreaterThan(15);
    const values = [...readme.matchAll(/^\| `([\w.-]+)` \|/gm)].map(([, value = '']) => value);
    const named = rows.flatMap((row) => [...(row.split('|')[2] ?? '').matchAll(/`([a-z][\w.]*)`/g)]);
    expect(named.length).toBeGreaterThan(15);
    const unknown = named.filter(([, name = '']) => !values.some((value) => `${value}.`.startsWith(`${name}.`)));
    expect(unknown.map(([, name]) => name)).toEqual([]);
  });
});
