// The only writer of conditions: takes judgements, returns the object's conditions. A time changes only when a status
// changes.
import { type Condition, conditionsPresentOnlyWhileTrue } from '../../../crds/object.ts';

export interface Judgement {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Present only while they are not False: for kstatus, absent means the same. */
const abnormal: ReadonlySet<string> = new Set(conditionsPresentOnlyWhileTrue);

/** All types that the operator writes, in their order. */
const order = [
  'Connected',
  'Draining',
  'Scheduled',
  'Evicting',
  'ReferencesResolved',
  'Prepared',
  'Created',
  'GuestConnected',
  'Ready',
  'Available',
  'RestartRequired',
  'Stalled',
  'Reconciling',
  'Paused',
  'Terminating',
];

/** Of the CRD. */
const conditionsMaximum = 32;

/** The last of several judgements of one type counts. Conditions of types that others have added stay. */
export function conditionsOf(
  stored: readonly Condition[],
  judgements: readonly Judgement[],
  observedGeneration: number,
  now: number,
): Condition[] {
  const byType = new Map(judgements.map((judgement) => [judgement.type, judgement]));
  // kstatus uses the first of the two. A stalled VM makes no progress.
  if (byType.get('Stalled')?.status === 'True') byType.delete('Reconciling');
  const own = [...byType.values()]
    .filter(({ type, status }) => status !== 'False' || !abnormal.has(type))
    .sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type))
    .map(({ type, status, reason, message }) => {
      const before = stored.find((condition) => condition.type === type);
      const lastTransitionTime =
        before !== undefined && before.status === status ? before.lastTransitionTime : timestampOf(now);
      return { type, status, reason, message, lastTransitionTime, observedGeneration };
    });
  const others = stored.filter(({ type }) => !order.includes(type) && !byType.has(type));
  return [...own, ...others].slice(0, conditionsMaximum);
}

/** In whole seconds, like metav1.Time. */
export function timestampOf(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}
