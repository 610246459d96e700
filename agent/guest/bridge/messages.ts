// The messages between host and guest over the bridge (hcs-runtime E.2 to E.6).
import { z } from 'zod';
import { beginning } from '../../../runtime/beginning.ts';
import { encodeHostJson, encodeInnerJson } from './frames.ts';

export const nullId = '00000000-0000-0000-0000-000000000000';
/** The only existing protocol version. */
export const protocolVersion = 4;

/** Types of requests, and whether the host may stop waiting for the answer without harm (E.5). */
export const requests = {
  executeProcess: { type: 0x1010_0501, cancellable: false },
  /** The one request that may stay unanswered as long as a process runs. */
  waitForProcess: { type: 0x1010_0601, cancellable: true },
  getProperties: { type: 0x1010_0901, cancellable: true },
  shutdownGraceful: { type: 0x1010_0301, cancellable: true },
  shutdownForced: { type: 0x1010_0401, cancellable: true },
  modifySettings: { type: 0x1010_0a01, cancellable: false },
  negotiateProtocol: { type: 0x1010_0b01, cancellable: true },
  dumpStacks: { type: 0x1010_0c01, cancellable: false },
} as const;
export type RequestName = keyof typeof requests;

/** The one notification that a guest sends: a container exited. */
export const containerExited = 0x3010_0101;

// --- payloads of requests, members in the order of the original --------------------------------------------------------

const common = { ContainerId: nullId, ActivityId: nullId };

export const payloads = {
  negotiateProtocol: () =>
    encodeHostJson({
      ...common,
      ContainerId: '',
      MinimumVersion: protocolVersion,
      MaximumVersion: protocolVersion,
    }),
  /** Concerns the VM itself and has no further members: shutdown, dump stacks. */
  plain: () => encodeHostJson(common),
  modifySettings: (request: unknown) => encodeHostJson({ ...common, Request: request }),
  executeProcess: (settings: unknown) => encodeHostJson({ ...common, Settings: settings }),
  waitForProcess: (processId: number, milliseconds: number) =>
    encodeHostJson({ ...common, ProcessId: processId, TimeoutInMs: milliseconds }),
  getProperties: (containerId: string, types: readonly string[]) =>
    encodeHostJson({
      ...common,
      ContainerId: containerId,
      Query: encodeInnerJson(types.length === 0 ? {} : { PropertyTypes: types }),
    }),
};

/** Stands for no time limit. */
export const noTimeLimit = 0xffff_ffff;

// --- responses --------------------------------------------------------------------------------------------------------

const text = z.string().nullish();

/** Members of every response; an error has no others. Result is a signed HRESULT, absent on success. */
export const responseBase = z.object({
  Result: z.int().min(-0x8000_0000).max(0xffff_ffff).default(0),
  ErrorMessage: text,
});

const flag = z.boolean().default(false);

export const negotiateResponse = z.object({
  Version: z.int().default(0),
  Capabilities: z
    .object({
      RuntimeOsType: z.string().default(''),
      GuestDefinedCapabilities: z
        .object({
          NamespaceAddRequestSupported: flag,
          SignalProcessSupported: flag,
          DumpStacksSupported: flag,
          DeleteContainerStateSupported: flag,
        })
        .prefault({}),
    })
    .prefault({}),
});
export type NegotiateResponse = z.infer<typeof negotiateResponse>;

export interface GuestIdentity {
  readonly protocolVersion: number;
  /** In lower case. */
  readonly osType: string;
  /** Names of the guest's capabilities. */
  readonly capabilities: readonly string[];
}

/** The longest name that a report can hold; the guest may send a longer one. */
const osTypeChars = 64;

export function identityOf(answer: NegotiateResponse): GuestIdentity {
  const { RuntimeOsType, GuestDefinedCapabilities } = answer.Capabilities;
  const capabilities = Object.entries(GuestDefinedCapabilities)
    .filter(([, isSupported]) => isSupported)
    .map(([name]) => name);
  // A guest that does not name its system is a Windows guest (E.4).
  return {
    protocolVersion: Math.max(0, answer.Version),
    osType: RuntimeOsType === '' ? 'windows' : beginning(RuntimeOsType.toLowerCase(), osTypeChars),
    capabilities,
  };
}

export const dumpStacksResponse = z.object({ GuestStacks: z.string().default('') });
export const emptyResponse = z.object({});
const unsigned = z.int().min(0).max(0xffff_ffff);
export const executeResponse = z.object({ ProcessId: unsigned.default(0) });
export const waitResponse = z.object({ ExitCode: unsigned.default(0) });
export const propertiesResponse = z.object({ Properties: z.string().default('{}') });

export const exitNotification = z.object({
  ContainerId: z.string(),
  Type: z.string().optional(),
  Operation: z.string().optional(),
  Result: z.int().optional(),
});
