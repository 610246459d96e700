// The objects of a chart as Helm renders them.
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { chartFolder, helm } from './helm.ts';

const object = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).default({}),
    annotations: z.record(z.string(), z.string()).default({}),
  }),
});
export type Rendered = z.infer<typeof object>;

export interface Rendering {
  readonly chart: string;
  readonly values?: string;
  readonly set?: readonly string[];
  readonly release?: string;
  readonly namespace?: string;
}

export const valuesFile = (name: string) => new URL(`../../charts/values/${name}.yaml`, import.meta.url).pathname;

/** Arguments that `helm template`, `install` and `upgrade` share. */
export function chartArguments({ chart, values, set = [], release = chart, namespace = 'lcow-system' }: Rendering) {
  return [
    ...[release, chartFolder(chart), '--namespace', namespace],
    ...(values === undefined ? [] : ['--values', valuesFile(values)]),
    ...set.flatMap((setting) => ['--set', setting]),
  ];
}

/** What a cluster would tell Helm: its version, and a group that every API server serves. */
export const ofSomeCluster = ['--kube-version', '1.37.2', '--api-versions', 'apiregistration.k8s.io/v1'];

/** With hooks, as Helm itself installs it. */
export async function render(rendering: Rendering): Promise<readonly Rendered[]> {
  return parseObjects(await helm(['template', ...chartArguments(rendering), ...ofSomeCluster]));
}

export function parseObjects(text: string): readonly Rendered[] {
  return parseAllDocuments(text)
    .map((document) => {
      // Warnings include a duplicate key: Helm accepts it, kustomize and Flux do not.
      const [problem] = [...document.errors, ...document.warnings];
      if (problem !== undefined) throw problem;
      return document.toJS() as unknown;
    })
    .filter((content) => content !== null)
    .map((content) => object.parse(content));
}

export const isHook = ({ metadata }: Rendered) => metadata.annotations['helm.sh/hook'] !== undefined;

/** For messages: `Role lcow-system/lcow-operator`. */
export function title({ kind, metadata: { namespace, name } }: Rendered): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}
