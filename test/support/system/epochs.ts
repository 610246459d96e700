// Checks the API server's audit log against the rule of design §6: a replica that writes about a VM holds the newest
// epoch of its host or, while the VM has none, the Lease. Everything is ordered by resource version, which etcd assigns
// to all objects in one sequence.
import { z } from 'zod';
import type { AuditedWrite } from '../control-plane/audit-log.ts';

const versioned = z.object({ metadata: z.object({ name: z.string(), resourceVersion: z.coerce.number() }) });
const host = versioned.extend({
  status: z.object({ session: z.object({ replica: z.string(), epoch: z.number() }).optional() }).default({}),
});
const machine = versioned.extend({
  metadata: versioned.shape.metadata.extend({
    uid: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).default([]),
  }),
  status: z.object({ nodeName: z.string().optional() }).default({}),
});
const lease = versioned.extend({ spec: z.object({ holderIdentity: z.string().default('') }) });

export interface ReplicaWrite {
  readonly replica: string;
  readonly resource: string;
  readonly name: string;
  readonly version: number;
  /** The replica that held the epoch or the Lease. */
  readonly current: string | undefined;
  /** True if the epoch of a host decides, false if the Lease does. */
  readonly hasHost: boolean;
}

interface Turn {
  readonly version: number;
  readonly replica: string;
}

export class EpochAudit {
  /** Successful writes of VMs by replicas, in the order of their versions. */
  readonly writes: readonly ReplicaWrite[];
  readonly #turns: ReadonlyMap<string, readonly Turn[]>;
  readonly #leases: readonly Turn[];
  readonly #others: readonly ReplicaWrite[];

  constructor(log: readonly AuditedWrite[]) {
    // The answer to a deletion may lack the object; replicas delete none.
    const taken = log.filter(({ code, verb }) => code < 300 && verb !== 'delete');
    this.#turns = turnsOf(taken);
    this.#leases = leaseTurns(taken);
    this.writes = this.#writesOf(taken);
    this.#others = taken.flatMap((write) => this.#otherWrite(write));
  }

  /** Writes by a replica whose epoch was not the current one. */
  get outOfTurn(): readonly ReplicaWrite[] {
    return this.writes.filter(({ replica, current }) => replica !== current);
  }

  /** Everything, Events included, that a replica wrote after another one first had the Lease. */
  after(former: string): readonly ReplicaWrite[] {
    const own = this.#leases.findLast(({ replica }) => replica === former)?.version ?? 0;
    const next = this.#leases.find(({ version, replica }) => version > own && replica !== '' && replica !== former);
    if (next === undefined) throw new Error(`nobody had the Lease after ${former}`);
    return [...this.writes, ...this.#others].filter(
      ({ replica, version }) => replica === former && version > next.version,
    );
  }

  #writesOf(taken: readonly AuditedWrite[]): readonly ReplicaWrite[] {
    const nodeNames = new Map<string, string>();
    let highest = 0;
    return taken
      .flatMap(({ resource, userAgent, response }) => {
        const known = versioned.safeParse(response).data?.metadata.resourceVersion ?? 0;
        highest = Math.max(highest, known);
        if (resource !== 'linuxutilityvms') return [];
        const { metadata, status } = machine.parse(response);
        // The answer to a write that lets the object be deleted has the version before it: then the position in the log
        // counts.
        const isEnd = metadata.deletionTimestamp !== undefined && metadata.finalizers.length === 0;
        const resourceVersion = isEnd ? highest + 0.5 : metadata.resourceVersion;
        return [
          { replica: replicaOf(userAgent), metadata: { ...metadata, resourceVersion }, nodeName: status.nodeName },
        ];
      })
      .sort((a, b) => a.metadata.resourceVersion - b.metadata.resourceVersion)
      .flatMap(({ replica, metadata, nodeName }) => {
        const about = nodeName ?? nodeNames.get(metadata.uid);
        if (nodeName === undefined) nodeNames.delete(metadata.uid);
        else nodeNames.set(metadata.uid, nodeName);
        if (replica === undefined) return [];
        const { name, resourceVersion: version } = metadata;
        const epochs = about === undefined ? undefined : this.#turns.get(about);
        const current = currentAt(epochs ?? this.#leases, version);
        return [{ replica, resource: 'linuxutilityvms', name, version, current, hasHost: epochs !== undefined }];
      });
  }

  #otherWrite({ userAgent, resource, response }: AuditedWrite): ReplicaWrite[] {
    const replica = replicaOf(userAgent);
    if (replica === undefined || (resource !== 'events' && resource !== 'linuxutilityvmhosts')) return [];
    const { name, resourceVersion } = versioned.parse(response).metadata;
    const current = currentAt(this.#leases, resourceVersion);
    return [{ replica, resource, name, version: resourceVersion, current, hasHost: false }];
  }
}

/** For each host, who had the newest epoch, and since when. */
function turnsOf(taken: readonly AuditedWrite[]): ReadonlyMap<string, readonly Turn[]> {
  const turns = new Map<string, Turn[]>();
  for (const { resource, response } of taken) {
    if (resource !== 'linuxutilityvmhosts') continue;
    const { metadata, status } = host.parse(response);
    if (status.session === undefined) continue;
    const { replica } = status.session;
    turns.set(metadata.name, [...(turns.get(metadata.name) ?? []), { version: metadata.resourceVersion, replica }]);
  }
  for (const each of turns.values()) each.sort((a, b) => a.version - b.version);
  return turns;
}

function leaseTurns(taken: readonly AuditedWrite[]): readonly Turn[] {
  return taken
    .filter(({ resource }) => resource === 'leases')
    .map(({ response }) => lease.parse(response))
    .filter(({ metadata }) => metadata.name === 'lcow-operator')
    .map(({ metadata, spec }) => ({ version: metadata.resourceVersion, replica: spec.holderIdentity }))
    .sort((a, b) => a.version - b.version);
}

function currentAt(turns: readonly Turn[], version: number): string | undefined {
  return turns.findLast((turn) => turn.version < version)?.replica;
}

function replicaOf(userAgent: string): string | undefined {
  return /^lcow-operator\/\S+ \((.+)\)$/.exec(userAgent)?.[1];
}
