// What two hosts did in one life, side by side: which steps stand for each other, what differs in them, which are only one's,
// and which came in another order. Orders that no host can rely on are no difference.
import { isDeepStrictEqual } from 'node:util';
import { align, crossedBy, type Pair, type Placed } from './alignment.ts';
import { type HostStep, isHost, type Life } from './life.ts';
import type { Played, Returned } from './player.ts';
import { inTermsOf } from './terms.ts';

/** A step of both. */
export interface Side {
  readonly original: Placed;
  readonly own: Placed;
}

export type Difference =
  /** The original did it, this agent did not. */
  | { readonly kind: 'missing'; readonly original: Placed }
  | { readonly kind: 'extra'; readonly own: Placed }
  /** The original did `first` before `second`. */
  | { readonly kind: 'order'; readonly first: Side; readonly second: Side }
  | {
      readonly kind: 'field';
      readonly original: Placed;
      readonly own: Placed;
      readonly field: string;
      readonly expected: unknown;
      readonly got: unknown;
    }
  | { readonly kind: 'outcome'; readonly returned: Returned; readonly expected: string; readonly got: string }
  /** This agent opened it and has not closed it although the VM is over. */
  | { readonly kind: 'left'; readonly own: Placed };

export interface Comparison {
  readonly life: Life;
  readonly original: readonly Placed[];
  readonly own: readonly Placed[];
  /** How much this agent had done when each step of the life was played. */
  readonly marks: readonly number[];
  readonly differences: readonly Difference[];
}

export function compare(life: Life, played: Played): Comparison {
  const places = life.steps.flatMap((step, index) => (isHost(step) ? [index] : []));
  const steps = withoutCount(life.steps.filter(isHost));
  const original = steps.map((step, place) => ({ step, index: places[place] ?? 0 }));
  const own = withoutCount(inTermsOf(life, played)).map((step, index) => ({ step, index }));
  const { extra, missing, moved, pairs } = align(original, own);
  const differences: Difference[] = [
    ...[...pairs, ...moved].flatMap((pair) => fieldDifferences(...pair)),
    ...moved.flatMap((pair) => crossedBy(pair, pairs, life).map((other) => orderDifference(pair, other))),
    ...missing.map((each): Difference => ({ kind: 'missing', original: each })),
    ...extra.map((each): Difference => ({ kind: 'extra', own: each })),
    ...played.returned.flatMap(outcomeDifferences),
    ...leftOpen(own),
  ];
  return { life, original, own, marks: played.marks, differences };
}

function orderDifference(moved: Pair, other: Pair): Difference {
  const [[a, b], [c, d]] = [moved, other];
  const [one, two] = [
    { original: a, own: b },
    { original: c, own: d },
  ];
  return a.index < c.index ? { kind: 'order', first: one, second: two } : { kind: 'order', first: two, second: one };
}

/** Ids on the bridge count up; a request more or less shifts them. */
function withoutCount(steps: readonly HostStep[]): readonly HostStep[] {
  let next = 0;
  return steps.map((step) => {
    if (!('frame' in step)) return step;
    const isNext = step.id === next;
    next = step.id + 1;
    return isNext ? { ...step, id: 0 } : step;
  });
}

function fieldDifferences(original: Placed, own: Placed): readonly Difference[] {
  const [a, b] = [flat(original.step), flat(own.step)];
  const fields = [...new Set([...a.keys(), ...b.keys()])];
  return fields
    .filter((field) => !isDeepStrictEqual(a.get(field), b.get(field)))
    .map((field) => ({ kind: 'field', original, own, field, expected: a.get(field), got: b.get(field) }));
}

/** Members by their paths. */
function flat(value: object, prefix = ''): Map<string, unknown> {
  return new Map(
    Object.entries(value).flatMap(([name, member]: [string, unknown]): [string, unknown][] => {
      const path = `${prefix}${name}`;
      return typeof member === 'object' && member !== null ? [...flat(member, `${path}.`)] : [[path, member]];
    }),
  );
}

/** Classes of errors and their texts are the original's own; results and codes are facts. */
function outcomeDifferences(returned: Returned): readonly Difference[] {
  const { expected, expectedGot, outcome } = returned;
  const [wanted, found] = [saidOf(expected), outcome === undefined ? 'does not come back' : resultOf(outcome)];
  const isSame = expected.ok === outcome?.ok && (expected.error?.code === undefined || outcome?.code === undefined);
  const differences: Difference[] =
    isSame || wanted === found ? [] : [{ kind: 'outcome', returned, expected: wanted, got: found }];
  for (const [name, value] of Object.entries(expectedGot ?? {})) {
    // The original has no exit code to give where the call failed.
    if (name === 'exitCode' && expected.ok === false && expected.error?.exitCode === undefined) continue;
    const got = outcome?.got?.[name];
    if (isDeepStrictEqual(got, value)) continue;
    differences.push({
      kind: 'outcome',
      returned,
      expected: `${name} ${JSON.stringify(value)}`,
      got: `${name} ${JSON.stringify(got)}`,
    });
  }
  return differences;
}

function saidOf({ error, hangs, ok }: Returned['expected']): string {
  if (hangs === true) return 'does not come back';
  return resultOf({ ok: ok ?? false, code: error?.code });
}

function resultOf({ code, ok }: { readonly ok: boolean; readonly code?: string | undefined }): string {
  return ok ? 'succeeds' : `fails${code === undefined ? '' : ` with ${code}`}`;
}

/** Listeners and connections of a VM whose handle has been closed. */
function leftOpen(own: readonly Placed[]): readonly Difference[] {
  if (!own.some(({ step }) => 'call' in step && step.call === 'HcsCloseComputeSystem')) return [];
  const count = (call: string, port: unknown) =>
    own.filter(({ step }) => 'call' in step && step.call === call && step.args['port'] === port).length;
  return own
    .filter(({ step }) => {
      const closing = 'call' in step ? closings.get(step.call) : undefined;
      if (closing === undefined || !('call' in step)) return false;
      const { port } = step.args;
      return count(closing, port) < count(step.call, port);
    })
    .map((each) => ({ kind: 'left', own: each }));
}

const closings: ReadonlyMap<string, string> = new Map([
  ['listen', 'closeListener'],
  ['accept', 'close'],
]);
