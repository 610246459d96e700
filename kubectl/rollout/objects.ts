// The objects of a rollout as the API server has them: the set, its VMs, the stored revisions of its template.
import { z } from 'zod';
import { linuxUtilityVMSetStatus } from '../../crds/linux-utility-vm-set.ts';
import { revisionLabel, setLabel } from '../../crds/names.ts';
import { conditions, ownerReference } from '../../crds/object.ts';
import { pathSegment } from '../../protocol/subresources.ts';
import { type Api, ApiFailure } from '../api.ts';
import { listed, machinesPath, setsPath } from '../machines.ts';
import { setType } from '../object-types.ts';

const metadata = z.looseObject({
  name: z.string(),
  namespace: z.string(),
  uid: z.string(),
  generation: z.number().default(0),
  creationTimestamp: z.string().optional(),
  deletionTimestamp: z.string().optional(),
  labels: z.record(z.string(), z.string()).default({}),
  annotations: z.record(z.string(), z.string()).default({}),
  ownerReferences: z.array(ownerReference).default([]),
});

const set = z.looseObject({
  metadata,
  spec: z.looseObject({
    replicas: z.number().default(1),
    update: z
      .looseObject({
        type: z.string().default('RollingUpdate'),
        method: z.enum(['LiveOrRestart', 'LiveOnly', 'LiveOrRecreate']).default('LiveOrRestart'),
        paused: z.boolean().default(false),
      })
      .prefault({}),
    template: z.unknown(),
  }),
  status: linuxUtilityVMSetStatus.catch({}).default({}),
});
export type ShownSet = z.infer<typeof set>;

const member = z.looseObject({
  metadata,
  spec: z.unknown().optional(),
  status: z
    .looseObject({
      observedGeneration: z.number().optional(),
      restartedAt: z.string().optional(),
      conditions: conditions.catch([]),
    })
    .catch({ conditions: [] })
    .default({ conditions: [] }),
});
export type Member = z.infer<typeof member>;

const revision = z.looseObject({
  metadata,
  revision: z.number(),
  data: z.looseObject({ template: z.unknown() }).optional(),
});
export type ShownRevision = z.infer<typeof revision>;

export function setPath(namespace: string, name: string): string {
  return `${setsPath(namespace)}/${pathSegment(name)}`;
}

export const parseSet = (object: unknown): ShownSet => set.parse(object);

export async function readSet(api: Api, name: string): Promise<ShownSet> {
  try {
    return parseSet(await api.json({ path: setPath(api.namespace, name) }));
  } catch (error) {
    throw error instanceof ApiFailure && error.code === 404 ? new ApiFailure(404, notFound(api, name, error)) : error;
  }
}

function notFound({ namespace }: Api, name: string, { reason }: ApiFailure): string {
  if (reason !== 'NotFound') return 'the cluster has no LinuxUtilityVMSets: install the CRDs of lcow-operator';
  const fix = `"kubectl get ${setType.short} -A" shows all sets, and -n selects another namespace`;
  return `the namespace "${namespace}" has no set "${name}": ${fix}`;
}

/** The stored revisions of the set, the oldest first. */
export async function revisionsOf(api: Api, set: ShownSet): Promise<readonly ShownRevision[]> {
  const path = `/apis/apps/v1/namespaces/${pathSegment(set.metadata.namespace)}/controllerrevisions`;
  const found: ShownRevision[] = [];
  for await (const object of listed(api, path, { selector: `${setLabel}=${set.metadata.name}` })) {
    const parsed = revision.parse(object);
    if (isControlledBy(parsed, set)) found.push(parsed);
  }
  return found.sort((a, b) => a.revision - b.revision);
}

export interface MembersOptions {
  /** Only those that have this revision. */
  readonly revision?: string | undefined;
  /** Of the media type that leaves parts of objects out. */
  readonly accept?: string | undefined;
}

export async function* membersOf(
  api: Api,
  set: ShownSet,
  { revision: name, accept }: MembersOptions = {},
): AsyncGenerator<Member> {
  const ofRevision = name === undefined ? '' : `,${revisionLabel}=${name}`;
  const selector = `${setLabel}=${set.metadata.name}${ofRevision}`;
  for await (const object of listed(api, machinesPath(set.metadata.namespace), { selector, accept })) {
    const parsed = member.parse(object);
    if (isControlledBy(parsed, set)) yield parsed;
  }
}

interface Owned {
  readonly metadata: Pick<z.infer<typeof metadata>, 'ownerReferences'>;
}

function isControlledBy({ metadata: { ownerReferences } }: Owned, { metadata: { uid } }: ShownSet): boolean {
  return ownerReferences.some((owner) => owner.controller === true && owner.uid === uid);
}
