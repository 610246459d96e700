// The points at which an agent with its own process is killed, and the scenarios that lead there.
import { z } from 'zod';
import { isMethod } from '../../../simulator/wire/rpc.ts';
import type { AgentCore } from './agent-core.ts';
import { play, playRelease, type Scenario, scenarios } from './crash-scenarios.ts';

export const processCrashPoint = z.union([
  /** At a call of a port, counted from 1: before it, or after its effect but before its result is seen. */
  z.object({ call: z.int().min(1), name: z.string(), when: z.enum(['before', 'after']) }),
  /** At a request of computecore.dll to the service, counted by method: once it is sent, or once it is answered. */
  z.object({ method: z.string(), number: z.int().min(1), when: z.enum(['sent', 'answered']) }),
]);
export type ProcessCrashPoint = z.infer<typeof processCrashPoint>;

export const crashAgentOrder = z.object({
  socketPath: z.string(),
  socketDirectory: z.string(),
  folder: z.string(),
  scenario: z.string(),
  point: processCrashPoint,
  /** A deliberate fault: the journal is written after the effects. */
  journalIsLate: z.boolean().default(false),
});
export type CrashAgentOrder = z.input<typeof crashAgentOrder>;

/** The release of a VM has no state in which an agent could end. */
export const releases = 'a VM with a disk that is released';

/** Together these make every kind of call to HCS. */
export const courses = [
  'a VM with a disk',
  'a VM that may outlive its agent and gets other memory and limits',
  'a VM that is restarted on request',
  releases,
] as const;

export interface Course {
  /** Undefined for a release. */
  readonly scenario: Scenario | undefined;
  play(core: AgentCore): Promise<unknown>;
}

export function course(name: string): Course {
  const scenario = scenarios[name];
  return {
    scenario,
    play: (core) => (scenario === undefined ? playRelease(core, () => undefined) : play(core, scenario)),
  };
}

/** Calls that have an effect on the node. */
const effects = new Set(['create', 'start', 'shutdown', 'terminate', 'modify', 'grantVmAccess', 'revokeVmAccess']);

/** All points of a run with these calls. */
export function pointsOf(calls: readonly string[]): readonly ProcessCrashPoint[] {
  const counted = new Map<string, number>();
  return calls.flatMap((name, index): ProcessCrashPoint[] => {
    const number = (counted.get(name) ?? 0) + 1;
    counted.set(name, number);
    const call = index + 1;
    const ofPort = (['before', 'after'] as const).map((when) => ({ call, name, when }));
    if (!effects.has(name) || !isMethod(name)) return ofPort;
    return [...ofPort, ...(['sent', 'answered'] as const).map((when) => ({ method: name, number, when }))];
  });
}

export function show(point: ProcessCrashPoint): string {
  if ('call' in point) return `${point.when} call ${point.call}, ${point.name}`;
  return `${point.method} ${point.number} ${point.when}`;
}
