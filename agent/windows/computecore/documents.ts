// Parses the answers of HCS (hcs-runtime A.2, B.5). HCS leaves out members that are zero, and newer builds add some.
// Only indispensable members are required.
import { z } from 'zod';
import { beginning } from '../../../runtime/beginning.ts';
import {
  crashLogLimit,
  type ProcessorTopology,
  type RuntimeId,
  type SystemExit,
  type SystemProperties,
  type SystemStatistics,
} from '../../node/backend.ts';
import { HcsError } from '../../node/hcs-error.ts';
import { ownResults, parseJson } from './failure.ts';

/** The basic properties, which every query returns. */
export const basicQuery = '{}';
export const statisticsQuery = '{"PropertyTypes":["Statistics","Memory"]}';
export const topologyQuery = '{"PropertyTypes":["ProcessorTopology"]}';

const zeroGuid = '00000000-0000-0000-0000-000000000000';
const runtimeId = z.guid().transform((text) => text as RuntimeId);
const systemState = z.enum(['Created', 'Running', 'Paused', 'Stopped', 'SavedAsTemplate', 'Unknown']);
const exitType = z.enum(['GracefulExit', 'ForcedExit', 'UnexpectedExit', 'None', 'Unknown']);

const properties = z
  .object({
    Id: z.string(),
    Owner: z.string().catch(''),
    State: systemState.optional().catch(undefined),
    Stopped: z.boolean().catch(false),
    RuntimeId: runtimeId.optional().catch(undefined),
    ExitType: exitType.catch('Unknown'),
  })
  .transform(({ Id, Owner, State, Stopped, RuntimeId, ExitType }) => ({
    id: Id,
    owner: Owner,
    state: State ?? (Stopped ? 'Stopped' : 'Unknown'),
    ...(RuntimeId !== undefined && RuntimeId !== zeroGuid && { runtimeId: RuntimeId }),
    exitType: ExitType,
  }));
export interface AnsweredProperties {
  readonly properties: SystemProperties;
  readonly exitType: SystemExit['exitType'];
}

/** HCS leaves out both for a system that does not run or that it cannot measure. */
const statistics = z.object({
  Statistics: z
    .object({ Processor: z.object({ TotalRuntime100ns: z.number().min(0) }) })
    .optional()
    .catch(undefined),
  Memory: z
    .object({ VirtualMachineMemory: z.object({ AssignedMemory: z.number().min(1) }) })
    .optional()
    .catch(undefined),
});
const ticksPerSecond = 1e7;
/** AssignedMemory counts pages of this size. */
const pageBytes = 4096;

/** Each record has one member, whose name is the cause. */
const attribution = z.array(z.record(z.string(), z.unknown())).catch([]);
const exitStatus = z.object({
  Status: z.int().catch(0),
  ExitType: exitType.catch('Unknown'),
  Attribution: attribution,
});
const crashReport = z.object({ CrashLog: z.string().catch('') });
const mostCauses = 8;
const causeCharacters = 128;
/** Causes for which only the guest is responsible. */
const causesOfGuest: readonly string[] = ['GuestCrash', 'TripleFault'];

const topology = z.object({
  LogicalProcessorCount: z.int().min(1),
  LogicalProcessors: z.array(z.object({ NodeNumber: z.int().min(0).catch(0) })).catch([]),
});
/** Hcsshim requires exactly one element, too. */
const topologyAnswer = z.object({ Properties: z.tuple([topology]) });

export interface HostTopology extends ProcessorTopology {
  /** The number of logical processors of each NUMA node, by node number. */
  readonly processorsOfNode: ReadonlyMap<number, number>;
}

export function parseProperties(call: string, document: string | undefined): AnsweredProperties {
  const { exitType, ...rest } = parse(call, properties, document);
  return { properties: rest, exitType };
}

export function parseStatistics(call: string, document: string | undefined): SystemStatistics {
  const { Memory, Statistics } = parse(call, statistics, document);
  const ticks = Statistics?.Processor.TotalRuntime100ns;
  const pages = Memory?.VirtualMachineMemory.AssignedMemory;
  return {
    ...(ticks !== undefined && { processorSeconds: ticks / ticksPerSecond }),
    ...(pages !== undefined && { assignedMemoryBytes: pages * pageBytes }),
  };
}

export function parseEnumeration(call: string, document: string | undefined): readonly SystemProperties[] {
  return parse(call, z.array(properties), document).map(({ exitType: _, ...rest }) => rest);
}

export function parseTopology(call: string, document: string | undefined): HostTopology {
  const [answer] = parse(call, topologyAnswer, document).Properties;
  const processorsOfNode = new Map<number, number>();
  for (const { NodeNumber } of answer.LogicalProcessors)
    processorsOfNode.set(NodeNumber, (processorsOfNode.get(NodeNumber) ?? 0) + 1);
  return { logicalProcessorCount: answer.LogicalProcessorCount, processorsOfNode };
}

/** An exit event means that the system exited, even when its text cannot be parsed. */
export function parseExit(document: string | undefined): SystemExit {
  const parsed = exitStatus.safeParse(parseJson(document));
  if (!parsed.success) return { exitType: 'Unknown', status: 0 };
  const { Attribution, ExitType, Status } = parsed.data;
  const causes = Attribution.flatMap((record) => Object.entries(record).map(causeText)).slice(0, mostCauses);
  return { exitType: ExitType, status: Status >>> 0, ...(causes.length > 0 && { attribution: causes }) };
}

/** Such as `TripleFault ErrorType=Unknown`, with the informative members. */
function causeText([cause, details]: [string, unknown]): string {
  const members = Object.entries(z.record(z.string(), z.unknown()).catch({}).parse(details));
  const said = members.flatMap(([name, value]) =>
    typeof value === 'string' || typeof value === 'number' ? [`${name}=${value}`] : [],
  );
  return beginning([cause, ...said].join(' '), causeCharacters);
}

export function isOfGuest({ attribution: causes = [] }: SystemExit): boolean {
  return causes.some((text) => causesOfGuest.some((cause) => text === cause || text.startsWith(`${cause} `)));
}

/** The text of a CrashReport; undefined when there is none. */
export function parseCrashLog(document: string | undefined): string | undefined {
  const text = crashReport.safeParse(parseJson(document)).data?.CrashLog.trim() ?? '';
  return text === '' ? undefined : text.slice(-crashLogLimit).replace(/^[\udc00-\udfff]/, '');
}

function parse<T>(call: string, schema: z.ZodType<T>, document: string | undefined): T {
  if (document === undefined)
    throw new HcsError(call, ownResults.unexpectedAnswer, 'unexpected value returned from hcs');
  const value = parseJson(document);
  if (value === undefined) throw new HcsError(call, ownResults.unexpectedAnswer, 'the answer of HCS is not JSON');
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new HcsError(call, ownResults.unexpectedAnswer, `HCS answered with an unexpected document: ${issue}`);
}
