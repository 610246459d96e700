// What a rule is, and what rules are made of.
import { firstStdioPort } from '../../../agent/guest/bridge/processes.ts';
import type { Placed } from './alignment.ts';
import type { Comparison, Difference, Side } from './comparison.ts';
import type { HostStep } from './life.ts';
import { eventIn, isBalanced, isCallOf, portOf, systemExited } from './place.ts';

/** A kind of difference that is on purpose. The point is a row of "Where this agent does otherwise" in docs/reference/hcs-runtime.md. */
export interface Rule {
  readonly point: string;
  readonly explains: (difference: Difference, comparison: Comparison) => boolean;
}

export const terminate = 'HcsTerminateComputeSystem';
export const closeHandle = 'HcsCloseComputeSystem';
export const alreadyStopped = '0x80370110';

/** Of a call that both made. */
export function field(
  names: readonly string[],
  fields: readonly string[],
  holds: (difference: Extract<Difference, { kind: 'field' }>, comparison: Comparison) => boolean,
): Rule['explains'] {
  return (difference, comparison) =>
    difference.kind === 'field' &&
    (names.length === 0 || isCallOf(difference.own.step, ...names)) &&
    fields.includes(difference.field) &&
    holds(difference, comparison);
}

export function extra(holds: (own: Placed, comparison: Comparison) => boolean): Rule['explains'] {
  return (difference, comparison) =>
    difference.kind === 'extra' && isBalanced(comparison, difference.own) && holds(difference.own, comparison);
}

export function missing(holds: (original: Placed, comparison: Comparison) => boolean): Rule['explains'] {
  return (difference, comparison) => difference.kind === 'missing' && holds(difference.original, comparison);
}

export function order(holds: (sides: readonly [Side, Side], comparison: Comparison) => boolean): Rule['explains'] {
  return (difference, comparison) =>
    difference.kind === 'order' && holds([difference.first, difference.second], comparison);
}

export function outcome(
  holds: (difference: Extract<Difference, { kind: 'outcome' }>, comparison: Comparison) => boolean,
): Rule['explains'] {
  return (difference, comparison) => difference.kind === 'outcome' && holds(difference, comparison);
}

export function any(...all: readonly Rule['explains'][]): Rule['explains'] {
  return (difference, comparison) => all.some((explains) => explains(difference, comparison));
}

export const isSocketStep = (step: HostStep) =>
  isCallOf(step, 'listen', 'accept', 'closeListener', 'close', 'closeWrite', 'sends');
export const isStdio = (step: HostStep) => (portOf(step) ?? 0) >= firstStdioPort;
export const hasFailed = (result: string | undefined) => result !== undefined && Number(result) >= 0x8000_0000;
export const hasExitedBefore = (comparison: Comparison, index: number) =>
  (eventIn(comparison, systemExited) ?? Number.POSITIVE_INFINITY) < index;
