// Which steps of two hosts stand for each other, and which of those came in another order.
import { keyOf } from './guest.ts';
import type { HostStep, Life } from './life.ts';

/** Of the original: its index in the life. Of this agent: its index among all that it did. */
export interface Placed {
  readonly step: HostStep;
  readonly index: number;
}

export type Pair = readonly [original: Placed, own: Placed];

export interface Alignment {
  readonly pairs: readonly Pair[];
  /** Only the original did it. */
  readonly missing: readonly Placed[];
  /** Only this agent did it. */
  readonly extra: readonly Placed[];
  /** Both did it, in other places. */
  readonly moved: readonly Pair[];
}

export function align(original: readonly Placed[], own: readonly Placed[]): Alignment {
  const { extra, missing, pairs } = longestCommon(original, own);
  const moved = takeMoved(missing, extra);
  return { pairs, missing, extra, moved };
}

/** Steps that stand for each other have equal names. */
export function nameOf(step: HostStep): string {
  if ('frame' in step) return keyOf(step.frame, step.payload);
  const { args, call } = step;
  if (call === 'HcsModifyComputeSystem') return `${call} ${modifiedIn(String(args['configuration']))}`;
  // Two libraries have the same function.
  if (grantCalls.has(call)) return `GrantVmAccess ${args['path']}`;
  if (call === 'HcsGetComputeSystemProperties') return `${call} ${args['query']}`;
  return 'port' in args ? `${call} ${args['port']}` : call;
}

export const grantCalls: ReadonlySet<string> = new Set(['vmcompute!GrantVmAccess', 'HcsGrantVmAccess']);

/** Path and kind of a change. */
function modifiedIn(text: string): string {
  return [/"ResourcePath":"([^"]*)"/, /"RequestType":"([^"]*)"/].map((part) => part.exec(text)?.[1] ?? '').join(' ');
}

/** What is said with it, whatever the answer is. */
function saidIn(step: HostStep): string {
  return 'frame' in step ? step.payload : JSON.stringify(step.args);
}

function answerTo(step: HostStep): string | undefined {
  return 'frame' in step ? undefined : step.result;
}

/** How well one stands for the other; 0 = not at all. */
function likeness(a: Placed | undefined, b: Placed | undefined): number {
  if (a === undefined || b === undefined || nameOf(a.step) !== nameOf(b.step)) return 0;
  if (saidIn(a.step) !== saidIn(b.step)) return 2;
  return answerTo(a.step) === answerTo(b.step) ? 4 : 3;
}

/** The common sequence of the greatest likeness. */
function longestCommon(original: readonly Placed[], own: readonly Placed[]) {
  const best = bestFrom(original, own);
  const at = (i: number, j: number) => best[i]?.[j] ?? 0;
  const pairs: Pair[] = [];
  const missing: Placed[] = [];
  const extra: Placed[] = [];
  let [i, j] = [0, 0];
  for (;;) {
    const [a, b] = [original[i], own[j]];
    if (a === undefined || b === undefined) break;
    const alike = likeness(a, b);
    if (alike > 0 && at(i, j) === alike + at(i + 1, j + 1)) {
      pairs.push([a, b]);
      i += 1;
      j += 1;
    } else if (at(i + 1, j) >= at(i, j + 1)) {
      missing.push(a);
      i += 1;
    } else {
      extra.push(b);
      j += 1;
    }
  }
  return { pairs, missing: [...missing, ...original.slice(i)], extra: [...extra, ...own.slice(j)] };
}

/** The likeness that can be had from each pair of places on. */
function bestFrom(original: readonly Placed[], own: readonly Placed[]): readonly (readonly number[])[] {
  const best = [...original, undefined].map(() => [...own, undefined].map(() => 0));
  for (let i = original.length - 1; i >= 0; i -= 1) {
    const [row = [], next = []] = [best[i], best[i + 1]];
    for (let j = own.length - 1; j >= 0; j -= 1) {
      const alike = likeness(original[i], own[j]);
      const taken = alike > 0 ? alike + (next[j + 1] ?? 0) : 0;
      row[j] = Math.max(next[j] ?? 0, row[j + 1] ?? 0, taken);
    }
  }
  return best;
}

/** Those of both lists that say the same. A query has no effect that its place could matter for. */
function takeMoved(missing: Placed[], extra: Placed[]): Pair[] {
  const moved: Pair[] = [];
  for (const each of missing.filter(({ step }) => !isQuery(step))) {
    const isSame = ({ step }: Placed) => nameOf(step) === nameOf(each.step) && saidIn(step) === saidIn(each.step);
    const found = extra.find(isSame);
    if (found === undefined) continue;
    missing.splice(missing.indexOf(each), 1);
    extra.splice(extra.indexOf(found), 1);
    moved.push([each, found]);
  }
  return moved;
}

function isQuery(step: HostStep): boolean {
  return 'call' in step && step.call === 'HcsGetComputeSystemProperties';
}

/** The pairs that it changed places with, but for those where no host can rely on the order. */
export function crossedBy([original, own]: Pair, pairs: readonly Pair[], life: Life): readonly Pair[] {
  return pairs.filter(([a, b]) => {
    const isCrossed = a.index < original.index !== b.index < own.index;
    return isCrossed && !isIndependent(original, a, life);
  });
}

const ofStreams: ReadonlySet<string> = new Set(['close', 'closeWrite', 'sends']);

/** As upstream-lives.md says. */
function isIndependent(a: Placed, b: Placed, { unordered }: Life): boolean {
  if (unordered.some((pair) => pair.includes(a.index) && pair.includes(b.index))) return true;
  const [one, other] = [a.step, b.step];
  if ('frame' in one || 'frame' in other) {
    // Closing the input of a process against waiting for its end.
    const calls = [one, other].map((step) => ('frame' in step ? step.frame : step.call));
    return calls.includes('WaitForProcess') && calls.some((call) => call === 'closeWrite' || call === 'sends');
  }
  if (one.args['port'] === other.args['port']) return false;
  const isOfListener = one.call === 'closeListener' && other.call === 'closeListener';
  return isOfListener || (ofStreams.has(one.call) && ofStreams.has(other.call));
}
