// The sets in a file of manifests, and what the API server would make of each.
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { apiVersion } from '../../crds/names.ts';
import { type Api, ApiFailure } from '../api.ts';
import { setType } from '../object-types.ts';
import { threeWayPatch } from './merge-patch.ts';
import { setPath } from './objects.ts';

const members = z.record(z.string(), z.unknown());
const manifest = members.and(
  z.looseObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal('LinuxUtilityVMSet'),
    metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
  }),
);
export type Manifest = z.infer<typeof manifest>;

const list = z.looseObject({ kind: z.literal('List'), items: z.array(z.unknown()) });
const kindOnly = z.looseObject({ kind: z.literal('LinuxUtilityVMSet') });

export function manifestsIn(text: string, file: string): readonly Manifest[] {
  const documents = parseAllDocuments(text);
  const found = ('empty' in documents ? [] : documents).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${file}: ${error.message}`);
    const value: unknown = document.toJS();
    const items = list.safeParse(value).data?.items ?? [value];
    return items.filter((item) => kindOnly.safeParse(item).success);
  });
  if (found.length === 0) throw new Error(`${file} has no LinuxUtilityVMSet of ${apiVersion}`);
  return found.map((item) => {
    const parsed = manifest.safeParse(item);
    if (!parsed.success) throw new Error(`${file}: ${z.prettifyError(parsed.error)}`);
    return parsed.data;
  });
}

export interface ApplyOptions {
  readonly serverSide: boolean;
  readonly fieldManager: string;
  readonly forceConflicts: boolean;
}

const lastApplied = z.looseObject({
  metadata: z.looseObject({
    annotations: z.looseObject({ 'kubectl.kubernetes.io/last-applied-configuration': z.string() }),
  }),
});

/** What `kubectl apply` would make of the set. Nothing is stored. */
export async function applied(
  api: Api,
  namespace: string,
  wanted: Manifest,
  present: unknown,
  { fieldManager, forceConflicts, serverSide }: ApplyOptions,
): Promise<unknown> {
  const { name } = wanted.metadata;
  const query = new URLSearchParams({ dryRun: 'All', fieldManager, fieldValidation: 'Strict' });
  const request = { method: 'PATCH', path: setPath(namespace, name), query } as const;
  if (present !== undefined && !serverSide) {
    return await api.json({ ...request, body: threeWayPatch(formerly(present), wanted, members.parse(present)) });
  }
  if (forceConflicts || !serverSide) query.set('force', 'true');
  try {
    return await api.json({ ...request, body: wanted, contentType: 'application/apply-patch+yaml' });
  } catch (error) {
    if (!(error instanceof ApiFailure) || error.code !== 409) throw error;
    throw new Error(`${setType.short}/${name}: ${error.message}: --force-conflicts shows the plan all the same`);
  }
}

/** Empty if the set was never applied in this way, as for kubectl. */
function formerly(present: unknown): Readonly<Record<string, unknown>> {
  const text = lastApplied.safeParse(present).data?.metadata.annotations;
  const json = text?.['kubectl.kubernetes.io/last-applied-configuration'];
  try {
    return json === undefined ? {} : members.parse(JSON.parse(json));
  } catch {
    return {};
  }
}
