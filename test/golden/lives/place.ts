// Where in a life a difference is: what the caller was waiting for, and what had happened to the VM by then.
import type { Placed } from './alignment.ts';
import type { Comparison } from './comparison.ts';
import type { CallerCall, CallerReturn, HostCall, HostFrame, HostStep } from './life.ts';

export const systemExited = 0x1;
export const serviceDisconnect = 0x0200_0000;

export function isCallOf(step: HostStep, ...names: readonly string[]): step is HostCall {
  return 'call' in step && names.includes(step.call);
}

export function isFrame(step: HostStep | undefined, name: string): step is HostFrame {
  return step !== undefined && 'frame' in step && step.frame === name;
}

export function portOf(step: HostStep): number | undefined {
  const port = 'call' in step ? step.args['port'] : undefined;
  return typeof port === 'number' ? port : undefined;
}

export function textOf(step: HostStep): string {
  return 'frame' in step ? step.payload : String(step.args['configuration'] ?? '');
}

/** Index in the life of the first such event; undefined without one. */
export function eventIn({ life }: Comparison, type: number): number | undefined {
  const index = life.steps.findIndex((step) => step.by === 'hcs' && Number(step.event) === type);
  return index < 0 ? undefined : index;
}

/** This agent did it after that step of the life. */
export function isOwnAfter({ marks }: Comparison, own: Placed, index: number | undefined): boolean {
  const mark = index === undefined ? undefined : marks[index];
  return mark !== undefined && own.index >= mark;
}

/** The VM was being ended, or had ended, when this agent did it. */
export function isOwnAtTheEnd(comparison: Comparison, own: Placed): boolean {
  const asked = comparison.own.find(({ step }) => isCallOf(step, 'HcsTerminateComputeSystem'));
  const ends = [systemExited, serviceDisconnect].map((type) => eventIn(comparison, type));
  return (asked !== undefined && own.index > asked.index) || ends.some((index) => isOwnAfter(comparison, own, index));
}

/** What the caller of the original was waiting for then: of several calls, the latest. */
export function callAt({ life }: Comparison, index: number): CallerCall | undefined {
  const waiting: CallerCall[] = [];
  for (const step of life.steps.slice(0, index)) {
    if (step.by !== 'caller') continue;
    if ('call' in step) waiting.push(step);
    if (!('returned' in step)) continue;
    const place = waiting.findLastIndex(({ call }) => call === step.returned);
    if (place >= 0) waiting.splice(place, 1);
  }
  return waiting.at(-1);
}

/** What it came back with. */
export function returnOf({ life }: Comparison, call: CallerCall): CallerReturn | undefined {
  const after = life.steps.slice(life.steps.indexOf(call));
  return after.find(
    (step): step is CallerReturn => step.by === 'caller' && 'returned' in step && step.returned === call.call,
  );
}

/** The call during which this agent did it. */
export function callDuring(comparison: Comparison, own: Placed): CallerCall | undefined {
  const index = comparison.marks.findLastIndex((mark) => mark <= own.index);
  const step = comparison.life.steps[index];
  // Time passes while the caller waits for its return.
  const isReturn = step?.by === 'caller' && 'returned' in step;
  return callAt(comparison, isReturn ? index : index + 1);
}

/** What was opened is closed once, and what was given is taken back once. */
export function isBalanced(comparison: Comparison, { index, step }: Placed): boolean {
  const opening = openings.find(({ closes }) => isCallOf(step, closes));
  if (opening === undefined) return true;
  const isOfSame = (other: HostStep) =>
    opening.by.every((name) => 'call' in other && 'call' in step && other.args[name] === step.args[name]);
  const before = comparison.own.filter((each) => each.index <= index && isOfSame(each.step));
  const count = (...names: readonly string[]) => before.filter((each) => isCallOf(each.step, ...names)).length;
  return count(opening.closes) <= count(...opening.opens);
}

const openings: readonly {
  readonly closes: string;
  readonly opens: readonly string[];
  /** Arguments that tell one from another. */
  readonly by: readonly string[];
}[] = [
  { closes: 'closeListener', opens: ['listen'], by: ['port'] },
  { closes: 'close', opens: ['accept'], by: ['port'] },
  { closes: 'closeWrite', opens: ['accept'], by: ['port'] },
  { closes: 'HcsCloseComputeSystem', opens: ['HcsCreateComputeSystem', 'HcsOpenComputeSystem'], by: [] },
  { closes: 'HcsRevokeVmAccess', opens: ['HcsGrantVmAccess'], by: ['vmId', 'path'] },
];
