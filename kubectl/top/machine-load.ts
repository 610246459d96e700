// What a VM uses of its host, from two readings of the agent. What was not read, or cannot be compared, is unknown.
import { z } from 'zod';
import type { MachineUsage } from '../../protocol/subresources.ts';

export const runningMachine = z.looseObject({
  metadata: z.looseObject({ namespace: z.string(), name: z.string() }),
  status: z
    .looseObject({
      phase: z.string().default('Pending'),
      nodeName: z.string().optional(),
      restarts: z.number().default(0),
      processorCount: z.number().optional(),
      memorySizeInMB: z.number().optional(),
    })
    .prefault({}),
});
export type RunningMachine = z.infer<typeof runningMachine>;

export interface MachineLoad {
  readonly namespace: string;
  readonly name: string;
  readonly node: string | undefined;
  readonly phase: string;
  readonly restarts: number;
  readonly processors: number | undefined;
  /** Processors that were busy on average between the readings. */
  readonly busyProcessors: number | undefined;
  readonly memoryInMB: number | undefined;
  /** Memory that the host provides now. */
  readonly usedMemoryInMB: number | undefined;
  readonly logLinesPerSecond: number | undefined;
}

export function loadOf(
  { metadata: { name, namespace }, status }: RunningMachine,
  before: MachineUsage | undefined,
  now: MachineUsage | undefined,
): MachineLoad {
  const bytes = now?.assignedMemoryBytes;
  return {
    namespace,
    name,
    node: status.nodeName,
    phase: status.phase,
    restarts: status.restarts,
    processors: status.processorCount,
    memoryInMB: status.memorySizeInMB,
    usedMemoryInMB: bytes === undefined ? undefined : Math.round(bytes / (1 << 20)),
    ...ratesOf(before, now),
  };
}

function ratesOf(
  before: MachineUsage | undefined,
  now: MachineUsage | undefined,
): Pick<MachineLoad, 'busyProcessors' | 'logLinesPerSecond'> {
  const unknown = { busyProcessors: undefined, logLinesPerSecond: undefined };
  if (before === undefined || now === undefined || now.log.boot !== before.log.boot) return unknown;
  const seconds = (now.time - before.time) / 1_000;
  if (seconds <= 0) return unknown;
  const { processorSeconds: from } = before;
  const { processorSeconds: to } = now;
  return {
    busyProcessors: from === undefined || to === undefined || to < from ? undefined : (to - from) / seconds,
    logLinesPerSecond: Math.max(0, now.log.lines - before.log.lines) / seconds,
  };
}

export interface HostLoad {
  readonly node: string;
  readonly connected: string;
  readonly machines: number;
  readonly processors: number | undefined;
  readonly busyProcessors: number | undefined;
  readonly memoryInMB: number | undefined;
  readonly usedMemoryInMB: number | undefined;
  readonly logLinesPerSecond: number | undefined;
}

export const measuredHost = z.looseObject({
  metadata: z.looseObject({ name: z.string() }),
  status: z
    .looseObject({
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
      logicalProcessors: z.number().optional(),
      memoryInMB: z.number().optional(),
    })
    .prefault({}),
});

export type MeasuredHost = z.infer<typeof measuredHost>;

/** A host, with the sums over its VMs. */
export function hostLoadOf({ metadata: { name }, status }: MeasuredHost, all: readonly MachineLoad[]): HostLoad {
  const own = all.filter(({ node }) => node === name);
  return {
    node: name,
    connected: status.conditions.find(({ type }) => type === 'Connected')?.status ?? 'Unknown',
    machines: own.filter(({ phase }) => phase === 'Running').length,
    processors: status.logicalProcessors,
    busyProcessors: sumOf(own.map(({ busyProcessors }) => busyProcessors)),
    memoryInMB: status.memoryInMB,
    usedMemoryInMB: sumOf(own.map(({ usedMemoryInMB }) => usedMemoryInMB)),
    logLinesPerSecond: sumOf(own.map(({ logLinesPerSecond }) => logLinesPerSecond)),
  };
}

function sumOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0);
}
