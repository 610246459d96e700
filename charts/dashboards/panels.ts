// What the dashboards show: rows of panels, each with its queries. `$release` is the namespace of operator and agents,
// `$node` a host. Every replica of the operator counts the VMs, so their counts are joined by `max`. A counter with
// labels has no series until it counts for the first time; its panel shows zero then.
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

export interface Panel {
  readonly title: string;
  readonly unit: 'short' | 'bytes' | 's' | 'cps' | 'Bps' | 'percentunit';
  readonly queries: readonly Query[];
  readonly kind: 'stat' | 'timeseries';
}

export interface DashboardPlan {
  readonly uid: string;
  readonly title: string;
  /** Whether it shows one host, which the reader chooses. */
  readonly ofHost: boolean;
  readonly rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[];
}

const inRelease = 'namespace="$release"';
const ofHost = `${inRelease},node=~"$node"`;
/** The namespace of a VM: Prometheus itself sets `namespace`. */
const ofMachine = 'exported_namespace, name';

const orZero = (expr: string) => `${expr} or on() vector(0)`;
const rate = (metric: string, by: string, labels = inRelease) =>
  orZero(`sum by (${by}) (rate(${metric}{${labels}}[$__rate_interval]))`);
const quantile = (share: number, metric: string, by = '') =>
  `histogram_quantile(${share}, sum by (le${by === '' ? '' : `, ${by}`}) (rate(${metric}_bucket{${inRelease}}[$__rate_interval])))`;
const quantiles = (metric: string): readonly Query[] =>
  [0.5, 0.95, 0.99].map((share) => ({ expr: quantile(share, metric), legend: `p${share * 100}` }));

const lines = (title: string, unit: Panel['unit'], ...queries: Query[]): Panel => {
  return { title, unit, queries, kind: 'timeseries' };
};
const number = (title: string, expr: string, legend = ''): Panel => {
  return { title, unit: 'short', queries: [{ expr, legend }], kind: 'stat' };
};
const rates = (title: string, metric: string, by: string, labels = inRelease): Panel =>
  lines(title, 'cps', {
    expr: rate(metric, by, labels),
    legend: by
      .split(', ')
      .map((label) => `{{${label}}}`)
      .join(' '),
  });
const total = (title: string, metric: string, labels = inRelease): Panel =>
  lines(title, 'cps', { expr: `sum(rate(${metric}{${labels}}[$__rate_interval]))`, legend: title });

const machinesBy = (by: string) => `sum by (${by}) (max by (phase, node) (lcow_virtual_machines{${inRelease}}))`;
const droppedLines = (by: string, labels: string) =>
  orZero(`sum by (${by}) (rate(lcow_agent_virtual_machine_log_lines_dropped_total{${labels}}[$__rate_interval]))`);

const fleet: DashboardPlan = {
  uid: 'lcow-fleet',
  title: 'LCOW / Fleet',
  ofHost: false,
  rows: [
    {
      title: 'VMs and hosts',
      panels: [
        number('Leaders', `sum(lcow_leader{${inRelease}})`),
        number('Connected agents', `sum(lcow_agent_sessions{${inRelease}})`),
        number('Versions of the operator', `count by (version) (lcow_build_info{${inRelease}})`, '{{version}}'),
        number('Versions of the agents', `count by (version) (lcow_agent_info{${inRelease}})`, '{{version}}'),
        lines('VMs by phase', 'short', { expr: machinesBy('phase'), legend: '{{phase}}' }),
        lines('VMs by host', 'short', { expr: machinesBy('node'), legend: '{{node}}' }),
        rates('Changes of phase', 'lcow_phase_transitions_total', 'from, to'),
        total('VMs that a host had to give up', 'lcow_foreign_virtual_machines_total'),
      ],
    },
    {
      title: 'Sets',
      panels: [
        lines('VMs of sets', 'short', {
          expr: `max by (state) (lcow_set_replicas{${inRelease}})`,
          legend: '{{state}}',
        }),
        lines('Rollouts', 's', ...quantiles('lcow_set_rollout_seconds')),
        rates('Changes without a restart', 'lcow_set_live_changes_total', 'result'),
      ],
    },
    {
      title: 'Operator',
      panels: [
        rates('Messages of agents', 'lcow_agent_messages_total', 'direction, type'),
        lines(
          'Status writes',
          'cps',
          { expr: `sum(rate(lcow_status_writes_total{${inRelease}}[$__rate_interval]))`, legend: 'writes' },
          { expr: `sum(rate(lcow_status_conflicts_total{${inRelease}}[$__rate_interval]))`, legend: 'conflicts' },
        ),
        rates('What should not happen', 'lcow_unexpected_total', 'what'),
        rates('Failures of the Lease', 'lcow_lease_failures_total', 'reason'),
        total('Failures of certificates', 'lcow_certificate_failures_total'),
        total('Traces taken by the collector', 'lcow_traces_exported_total'),
        rates('Traces that were dropped', 'lcow_traces_dropped_total', 'why'),
        lines('Memory', 'bytes', {
          expr: `process_resident_memory_bytes{${inRelease}} * on(pod) group_left() lcow_build_info{${inRelease}}`,
          legend: '{{pod}}',
        }),
        lines('Processors in use', 'short', { expr: rate('process_cpu_seconds_total', 'pod'), legend: '{{pod}}' }),
      ],
    },
    {
      title: 'API server',
      panels: [
        rates('Requests', 'rest_client_requests_total', 'method, code'),
        rates('Complete lists', 'reflector_lists_total', 'path'),
        rates('Failures of lists and watches', 'reflector_failures_total', 'path, reason'),
      ],
    },
    {
      title: 'Queues',
      panels: [
        lines('Depth', 'short', { expr: `sum by (name) (workqueue_depth{${inRelease}})`, legend: '{{name}}' }),
        rates('Added', 'workqueue_adds_total', 'name'),
        rates('Retried', 'workqueue_retries_total', 'name'),
        lines('Time in a queue', 's', ...quantiles('workqueue_queue_duration_seconds')),
        lines('Time of work', 's', ...quantiles('workqueue_work_duration_seconds')),
      ],
    },
    {
      title: 'Streams of users',
      panels: [
        lines('Open', 'short', { expr: `sum by (kind) (lcow_streams{${inRelease}})`, legend: '{{kind}}' }),
        lines('Carried', 'Bps', {
          expr: rate('lcow_stream_bytes_total', 'kind, direction'),
          legend: '{{kind}} {{direction}}',
        }),
        rates('Refused', 'lcow_streams_refused_total', 'reason'),
      ],
    },
  ],
};

const host: DashboardPlan = {
  uid: 'lcow-host',
  title: 'LCOW / Host',
  ofHost: true,
  rows: [
    {
      title: 'VMs',
      panels: [
        lines('VMs by phase', 'short', {
          expr: orZero(`sum by (phase) (lcow_agent_virtual_machines{${ofHost}})`),
          legend: '{{phase}}',
        }),
        lines('Processors in use', 'short', {
          expr: rate('lcow_agent_virtual_machine_cpu_seconds_total', ofMachine, ofHost),
          legend: '{{exported_namespace}}/{{name}}',
        }),
        lines('Memory', 'bytes', {
          expr: orZero(`sum by (${ofMachine}) (lcow_agent_virtual_machine_assigned_memory_bytes{${ofHost}})`),
          legend: '{{exported_namespace}}/{{name}}',
        }),
        rates('Changes of running VMs that failed', 'lcow_agent_live_change_failures_total', 'reason', ofHost),
      ],
    },
    {
      title: 'Agent',
      panels: [
        number('Version', `count by (node, version) (lcow_agent_info{${ofHost}})`, '{{node}} {{version}}'),
        lines('VMs that wait for an overdue call', 'short', {
          expr: `sum by (node) (lcow_agent_calls_draining{${ofHost}})`,
          legend: '{{node}}',
        }),
        total('Refused questions about the use of a VM', 'lcow_agent_statistics_failures_total', ofHost),
        rates('Failed calls to the Host Networking Service', 'lcow_agent_hns_failures_total', 'reason', ofHost),
        total('Unreadable journal files', 'lcow_agent_journal_quarantined_total', ofHost),
        total('Errors of the agent itself', 'lcow_agent_internal_errors_total', ofHost),
        lines('Memory of the agent', 'bytes', {
          expr: `process_resident_memory_bytes{${ofHost}} * on(node) group_left() lcow_agent_info{${ofHost}}`,
          legend: '{{node}}',
        }),
      ],
    },
  ],
};

const boots: DashboardPlan = {
  uid: 'lcow-boot',
  title: 'LCOW / Boot phases',
  ofHost: false,
  rows: [
    {
      title: 'From manifest to ready',
      panels: [
        lines('Until a new VM is ready', 's', ...quantiles('lcow_ready_seconds')),
        lines('New VMs that became ready', 'cps', {
          expr: `sum(rate(lcow_ready_seconds_count{${inRelease}}[$__rate_interval]))`,
          legend: 'ready',
        }),
        lines('Boot phases, median', 's', {
          expr: quantile(0.5, 'lcow_boot_phase_seconds', 'phase'),
          legend: '{{phase}}',
        }),
        lines('Boot phases, 95 %', 's', {
          expr: quantile(0.95, 'lcow_boot_phase_seconds', 'phase'),
          legend: '{{phase}}',
        }),
        rates('Failed starts', 'lcow_start_failures_total', 'reason'),
      ],
    },
  ],
};

const losses: DashboardPlan = {
  uid: 'lcow-log-loss',
  title: 'LCOW / Log loss',
  ofHost: false,
  rows: [
    {
      title: 'What was not kept',
      panels: [
        lines('Lost lines by host', 'cps', { expr: droppedLines('node', inRelease), legend: '{{node}}' }),
        lines('Lost lines by VM', 'cps', {
          expr: `topk(10, ${droppedLines(ofMachine, inRelease)})`,
          legend: '{{exported_namespace}}/{{name}}',
        }),
        rates('Events that were not recorded', 'lcow_events_dropped_total', 'why'),
      ],
    },
  ],
};

export const dashboardPlans: readonly DashboardPlan[] = [fleet, host, boots, losses];

/** Metrics that no panel shows, by a prefix of their names, with the reason. */
export const hiddenMetrics: Readonly<Record<string, string>> = {
  nodejs_: 'The inside of Node.js; the process metrics that matter have panels.',
  process_cpu_user_seconds_total: 'A part of process_cpu_seconds_total.',
  process_cpu_system_seconds_total: 'A part of process_cpu_seconds_total.',
  process_start_time_seconds: 'The age of a pod is in the metrics of the cluster.',
  process_virtual_memory_bytes: 'Address space of V8, which costs nothing.',
  process_heap_bytes: 'A part of process_resident_memory_bytes.',
  process_open_fds: 'Bounded by the numbers of connections, which have panels.',
  process_max_fds: 'A constant of the container.',
};
