// Grafana dashboards from the plans of panels.ts. Their descriptions are the helps of the metrics.
import type { MetricHelps } from './metrics.ts';
import { type DashboardPlan, dashboardPlans, hiddenMetrics, type Panel } from './panels.ts';

const source = { type: 'prometheus', uid: '$datasource' } as const;
/** A row of the grid is 24 units wide. */
const [width, height, perRow] = [6, 8, 4];

/** File name to JSON. Throws if a metric is in no panel and has no reason, or if a panel asks for none that exists. */
export function dashboardFiles(helps: MetricHelps): readonly [string, string][] {
  const shown = new Set(dashboardPlans.flatMap((plan) => panelsOf(plan).flatMap((panel) => metricsOf(panel, helps))));
  const missing = [...helps.keys()].filter((name) => !shown.has(name) && !isHidden(name));
  if (missing.length > 0) throw new Error(`no dashboard shows ${missing.join(', ')}: add a panel, or say why not`);
  return dashboardPlans.map((plan) => [
    `${plan.uid}.json`,
    `${JSON.stringify(dashboard(plan, helps), undefined, 2)}\n`,
  ]);
}

const panelsOf = ({ rows }: DashboardPlan) => rows.flatMap(({ panels }) => panels);
const isHidden = (name: string) => Object.keys(hiddenMetrics).some((prefix) => name.startsWith(prefix));

/** The metrics that the queries of a panel name. */
function metricsOf({ queries, title }: Panel, helps: MetricHelps): readonly string[] {
  const named = queries.flatMap(({ expr }) => [...expr.matchAll(/([a-z_]+)\{/g)].map(([, name = '']) => name));
  return named.map((name) => {
    const metric = helps.has(name) ? name : name.replace(/_(bucket|count|sum)$/, '');
    if (!helps.has(metric)) throw new Error(`the panel "${title}" asks for ${name}, which nothing reports`);
    return metric;
  });
}

function dashboard(plan: DashboardPlan, helps: MetricHelps) {
  let y = 0;
  let id = 0;
  const panels = plan.rows.flatMap(({ title, panels: ofRow }) => {
    const heading = {
      type: 'row',
      id: ++id,
      title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
      panels: [],
    };
    const placed = ofRow.map((panel, index) => {
      const gridPos = { x: (index % perRow) * width, y: y + Math.floor(index / perRow) * height, w: width, h: height };
      return { id: ++id, gridPos, ...panelJson(panel, helps) };
    });
    y += Math.ceil(ofRow.length / perRow) * height;
    return [heading, ...placed];
  });
  return {
    uid: plan.uid,
    title: plan.title,
    tags: ['lcow'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: variables(plan) },
    panels,
  };
}

function panelJson(panel: Panel, helps: MetricHelps) {
  const { kind: type, queries, title, unit } = panel;
  const names = new Set(metricsOf(panel, helps));
  return {
    type,
    title,
    description: [...names].map((name) => `${name}: ${helps.get(name)}`).join('\n'),
    datasource: source,
    fieldConfig: { defaults: { unit, ...(type === 'timeseries' && { min: 0 }) }, overrides: [] },
    targets: queries.map(({ expr, legend: legendFormat }, index) => {
      return { refId: String.fromCharCode(65 + index), datasource: source, expr, legendFormat };
    }),
  };
}

function variables({ ofHost }: DashboardPlan) {
  const query = (name: string, label: string, values: string, more: object = {}) => {
    return {
      type: 'query',
      name,
      label,
      datasource: source,
      query: values,
      definition: values,
      refresh: 2,
      sort: 1,
      ...more,
    };
  };
  return [
    { type: 'datasource', name: 'datasource', label: 'Data source', query: 'prometheus' },
    query('release', 'Namespace', 'label_values(lcow_build_info, namespace)'),
    ...(ofHost ? [query('node', 'Host', 'label_values(lcow_agent_info{namespace="$release"}, node)')] : []),
  ];
}
