// Judges what the API server shows of the VMs of a set, event by event in the order of their writes:
//
// - No VM that is available is taken away on purpose while as many as `maxUnavailable` are unavailable.
// - No VM that is available gets another run without a reason: it was to restart or to move, or its agent was killed.
//
// A VM that was lost without the set's doing counts as unavailable only after `graceMilliseconds`: the operator may have
// decided before it could know.
import { z } from 'zod';
import { ordinalLabel, restartedAtAnnotation } from '../../../crds/names.ts';

export const watchedEvent = z.object({
  type: z.enum(['ADDED', 'MODIFIED', 'DELETED']),
  object: z.looseObject({
    metadata: z.looseObject({
      name: z.string(),
      uid: z.string(),
      labels: z.record(z.string(), z.string()).default({}),
      annotations: z.record(z.string(), z.string()).default({}),
      deletionTimestamp: z.string().optional(),
    }),
    status: z
      .looseObject({
        nodeName: z.string().optional(),
        runtimeID: z.string().optional(),
        restartedAt: z.string().optional(),
        conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
      })
      .prefault({}),
  }),
});
export type WatchedEvent = z.infer<typeof watchedEvent>;

/** What of a VM was taken away on purpose. */
type Intention = 'restart' | 'eviction' | 'deletion';

interface Watched {
  readonly uid: string;
  readonly ordinal: number;
  readonly nodeName: string | undefined;
  readonly runtimeID: string | undefined;
  readonly isReady: boolean;
  readonly intention: Intention | undefined;
  /** Milliseconds; since when it is unavailable. */
  readonly lostAt: number | undefined;
  /** For so many further runs there is a reason. */
  readonly excuses: number;
}

const graceMilliseconds = 2_000;
/** A run that its agent reported at the last moment may be shown after the agent was killed. */
const runsAfterKill = 2;

export class DisruptionJudge {
  readonly violations: string[] = [];
  readonly #machines = new Map<string, Watched>();
  readonly #maxUnavailable: number;
  #wanted: { readonly replicas: number; readonly since: number };
  #disruptions = 0;

  constructor(replicas: number, maxUnavailable: number) {
    this.#wanted = { replicas, since: Number.NEGATIVE_INFINITY };
    this.#maxUnavailable = maxUnavailable;
  }

  /** How many VMs that were available have been taken away on purpose. */
  get disruptions(): number {
    return this.#disruptions;
  }

  /** The set is about to be asked for another number of VMs. */
  wants(replicas: number, now: number): void {
    this.#wanted = { replicas, since: now };
  }

  /** The agent of the node is about to be killed. Its VMs end with it. */
  losesAgent(nodeName: string): void {
    for (const [name, machine] of this.#machines) {
      if (machine.nodeName === nodeName) this.#machines.set(name, { ...machine, excuses: runsAfterKill });
    }
  }

  observe({ type, object }: WatchedEvent, now: number): void {
    const { name } = object.metadata;
    const before = this.#machines.get(name);
    if (type === 'DELETED') {
      this.#machines.delete(name);
      return;
    }
    const after = watched(object, before, now);
    if (before !== undefined && before.uid === after.uid) this.#judge(name, before, after, now);
    this.#machines.set(name, after);
  }

  #judge(name: string, before: Watched, after: Watched, now: number): void {
    const isNewRun = before.runtimeID !== undefined && after.runtimeID !== before.runtimeID;
    if (isNewRun && before.excuses === 0 && after.intention === undefined) {
      this.violations.push(`${name} runs again, and nobody asked for it`);
    }
    if (!isPresent(before) || after.intention === undefined || after.ordinal >= this.#wanted.replicas) return;
    this.#disruptions += 1;
    const others = this.#unavailableBeside(name, now);
    if (others.length < this.#maxUnavailable) return;
    this.violations.push(`${after.intention} of ${name} while ${others.length} are unavailable: ${others.join(', ')}`);
  }

  #unavailableBeside(name: string, now: number): readonly string[] {
    const { replicas, since } = this.#wanted;
    const isKnown = (lostAt: number | undefined) => lostAt !== undefined && now - lostAt >= graceMilliseconds;
    const wanted = [...this.#machines].filter(([, { ordinal }]) => ordinal < replicas);
    const away = wanted.filter(([, each]) => each.intention !== undefined || isKnown(each.lostAt));
    const isMissingKnown = now - since >= graceMilliseconds;
    const missing = isMissingKnown ? Math.max(0, replicas - wanted.length) : 0;
    return [
      ...away.filter(([other]) => other !== name).map(([other]) => other),
      ...Array.from({ length: missing }, () => 'one that does not exist'),
    ];
  }
}

function isPresent({ isReady, intention }: Watched): boolean {
  return isReady && intention === undefined;
}

function watched({ metadata, status }: WatchedEvent['object'], before: Watched | undefined, now: number): Watched {
  const has = (type: string) => status.conditions.some((each) => each.type === type && each.status === 'True');
  const isReady = has('Ready');
  const isSame = before?.uid === metadata.uid;
  const restartedAt = metadata.annotations[restartedAtAnnotation];
  const isRestarting = restartedAt !== undefined && restartedAt !== status.restartedAt;
  const intention = intentionOf(metadata.deletionTimestamp !== undefined, has('Evicting'), isRestarting);
  const runtimeID = status.runtimeID ?? (isSame ? before.runtimeID : undefined);
  const excuses = isSame ? Math.max(0, before.excuses - (runtimeID === before.runtimeID ? 0 : 1)) : 0;
  return {
    uid: metadata.uid,
    ordinal: Number(metadata.labels[ordinalLabel]),
    nodeName: status.nodeName,
    runtimeID,
    isReady,
    intention,
    lostAt: isReady ? undefined : ((isSame ? before.lostAt : undefined) ?? now),
    excuses: intention === undefined ? excuses : Math.max(1, excuses),
  };
}

function intentionOf(isDeleting: boolean, isEvicting: boolean, isRestarting: boolean): Intention | undefined {
  if (isDeleting) return 'deletion';
  if (isEvicting) return 'eviction';
  return isRestarting ? 'restart' : undefined;
}
