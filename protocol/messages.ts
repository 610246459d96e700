// The messages of wire protocol `lcow.v1` (design §7): JSON text frames, one message each, parsed on receipt. Messages
// carry state, so any of them may be lost or repeated. Members that a side does not know are ignored, except in
// requested options. Elements about one VM are parsed separately (`parseAssignment`, `parseObserved`), so that a bad
// one affects that VM only.
import { z } from 'zod';
import { beginning } from '../runtime/beginning.ts';
import { plainText } from '../runtime/plain-text.ts';
import { boundedList, boundedText, code } from './bounded.ts';
import { networkFacts } from './network-facts.ts';
import { requestedOptions } from './options.ts';
import { agentStreamMessages, operatorStreamMessages } from './streams/messages.ts';

export const subprotocol = 'lcow.v1';
export const agentsPath = '/v1/agents';

/** Bounds of what one side can make the other hold. Bytes are UTF-8 unless said otherwise. */
export const limits = {
  frameBytes: 1 << 20,
  /** VMs in one part of `hello` or `desired`. */
  partElements: 64,
  logLineChars: 8192,
  statusLineChars: 256,
  logHeadLines: 5,
  logTailLines: 15,
  messageChars: 2048,
  /** Longest restart request, on the wire and in the status. */
  restartedAtChars: 64,
  warnings: 16,
  warningChars: 512,
  conditions: 16,
  policyChars: 262_144,
  /**
   * The operator repeats a policy once it has sent more than this many bytes of other policies since. The agent keeps
   * more than this.
   */
  sentPolicyBytes: 4 << 20,
  keptPolicyBytes: 16 << 20,
  virtualMachinesPerHost: 4096,
  /** Largest report of one VM that is kept, as JSON. */
  reportBytes: 64 * 1024,
  /** The same for all VMs of a host together. */
  reportsBytes: 64 << 20,
  /** Largest hello, all parts together: this much for each VM that it names, plus `helloBytes`. */
  helloBytesPerVirtualMachine: 4 * 1024,
  helloBytes: 1 << 20,
  /** Largest facts of a host that are kept, as JSON. The list of boot files is cut to fit. */
  factsBytes: 32 * 1024,
} as const;

/** WebSocket close codes of our own (4000–4999 are free for applications). */
export const closeCodes = {
  malformed: 4400,
  unauthorized: 4401,
  replaced: 4409,
  overflow: 4429,
  shuttingDown: 4503,
} as const;

const uid = z.uuid();
const text = boundedText(limits.messageChars);
const count = z.int().min(0);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const time = z.iso.datetime({ offset: true }).max(64);
const epoch = z.int().min(1);

// --- what a host is ---------------------------------------------------------------------------------------------------

export const hostFacts = z.object({
  osBuild: z.int().min(0).max(0xffff),
  architecture: z.enum(['amd64', 'arm64']),
  logicalProcessors: count,
  memoryInMB: count,
  numaNodes: boundedList(z.object({ number: count, logicalProcessors: count, memoryInMB: count }), 64),
  isolation: boundedList(z.enum(['SNP']), 4),
  /** Each default boot folder and the files in it. */
  bootFiles: boundedList(z.object({ path: boundedText(1024), files: boundedList(boundedText(256), 256) }), 16),
  /** Absent as long as the agent has not been able to read them. */
  network: networkFacts.optional(),
});
export type HostFacts = z.infer<typeof hostFacts>;

// --- what the operator says of a VM -----------------------------------------------------------------------------------

export const exitTypes = ['GracefulExit', 'ForcedExit', 'UnexpectedExit', 'AgentExit', 'Unknown'] as const;

export const lastExit = z.object({ type: z.enum(exitTypes), time, message: text });
export type LastExit = z.infer<typeof lastExit>;

export const runStrategies = ['Always', 'RerunOnFailure', 'Once', 'Halted'] as const;
export type RunStrategy = (typeof runStrategies)[number];
export const updateStrategies = ['OnRestart', 'Recreate'] as const;

const restartedAt = z.string().max(limits.restartedAtChars);

export const assignment = z.object({
  uid,
  namespace: z.string().min(1).max(63),
  name: z.string().min(1).max(253),
  generation: count,
  /** Without SecurityPolicy: the policy travels once in its own message, see `policySHA256`. */
  options: requestedOptions,
  policySHA256: sha256.optional(),
  /** Digest of the complete options, policy included (`optionsDigest`). */
  optionsDigest: sha256,
  /** Digest of the manifest's own text, whatever its references resolve to. Absent from earlier operators. */
  sourceDigest: sha256.optional(),
  runStrategy: z.enum(runStrategies),
  updateStrategy: z.enum(updateStrategies),
  /** Stands for the value of the restart annotation. A value other than the one handled last restarts the VM. */
  restartedAt: restartedAt.optional(),
  /**
   * The value that an operator of an earlier version would send instead. A request that was handled under it counts as
   * handled.
   */
  restartedAtPrefix: restartedAt.optional(),
  /** While true, the agent starts, stops and changes nothing. */
  paused: z.boolean(),
  /** What the status of the resource remembers, so that a `Once` VM does not run twice when the journal is lost. */
  remembered: z.object({
    startTime: time.optional(),
    lastExit: lastExit.optional(),
    restarts: count,
    restartedAt: restartedAt.optional(),
  }),
});
export type Assignment = z.infer<typeof assignment>;

// --- what the agent says of a VM --------------------------------------------------------------------------------------

export const machinePhases = [
  'Staging',
  'Creating',
  'Starting',
  'Running',
  'Stopping',
  'Stopped',
  'Failed',
  'Unknown',
] as const;
export type MachinePhase = (typeof machinePhases)[number];

/** The conditions that the agent judges; the operator adds `Scheduled` and `Terminating`. */
export const observedConditionTypes = [
  'Prepared',
  'Created',
  'GuestConnected',
  'Ready',
  'RestartRequired',
  'Stalled',
  'Reconciling',
] as const;

export const observedCondition = z.object({
  type: z.enum(observedConditionTypes),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: code,
  message: text,
});
export type ObservedCondition = z.infer<typeof observedCondition>;

const statusLine = boundedText(limits.statusLineChars);

export const guestLogSummary = z.object({
  head: boundedList(statusLine, limits.logHeadLines),
  tail: boundedList(statusLine, limits.logTailLines),
  total: count,
  dropped: count,
});
export type GuestLogSummary = z.infer<typeof guestLogSummary>;

/** The time of each boot phase that was reached, in the order of a boot. */
export const bootTimings = z.object({
  prepared: time.optional(),
  created: time.optional(),
  started: time.optional(),
  entropy: time.optional(),
  log: time.optional(),
  guestConnected: time.optional(),
});
export type BootTimings = z.infer<typeof bootTimings>;

export const devices = z.object({
  vpmem: boundedList(z.object({ slot: count, path: boundedText(1024) }), 128),
  scsi: boundedList(z.object({ controller: count, lun: count, path: boundedText(1024) }), 256),
  assigned: boundedList(z.object({ instanceID: boundedText(512), vmbusID: boundedText(64) }), 64),
  /** Absent in reports of earlier agents, and when there is none. */
  shares: boundedList(
    z.object({ name: boundedText(63), path: boundedText(1024), guestPath: boundedText(255), readOnly: z.boolean() }),
    64,
  ).optional(),
});
export type Devices = z.infer<typeof devices>;

/** The process of a VM whose options have one. Starting: it is not known yet whether the guest has started it. */
export const observedProcess = z.object({
  state: z.enum(['Starting', 'Running', 'Exited', 'Failed']),
  /** 255 when a signal ended the process. */
  exitCode: count.max(0xffff_ffff).optional(),
  /** With `Failed`. */
  reason: code.optional(),
  startedAt: time.optional(),
  finishedAt: time.optional(),
});
export type ObservedProcess = z.infer<typeof observedProcess>;

export const observedVirtualMachine = z.object({
  uid,
  /** Generation and options digest of the assignment that this state answers. Absent before the first assignment. */
  generation: count.optional(),
  wantedDigest: sha256.optional(),
  /** `sourceDigest` of the options that the agent has. It stays while later manifests arrive only as intents. */
  sourceDigest: sha256.optional(),
  /** Digest of the options with which the VM was last created. */
  optionsDigest: sha256.optional(),
  policyDigest: sha256.optional(),
  documentDigest: sha256.optional(),
  phase: z.enum(machinePhases),
  conditions: boundedList(observedCondition, limits.conditions),
  systemID: boundedText(128).optional(),
  runtimeID: boundedText(64).optional(),
  startTime: time.optional(),
  /** Whether the VM was ever up on this host, according to its journal. `startTime` may be from another host. */
  startedOnHost: z.boolean().optional(),
  restarts: count,
  restartedAt: boundedText(limits.restartedAtChars).optional(),
  lastExit: lastExit.optional(),
  /** The process of the current or last run. */
  process: observedProcess.optional(),
  processorCount: count.optional(),
  memorySizeInMB: count.max(2 ** 40).optional(),
  guest: z
    .object({
      osType: boundedText(64),
      protocolVersion: count,
      capabilities: boundedList(boundedText(128), 32),
    })
    .optional(),
  guestLog: guestLogSummary,
  startFailure: z.object({ count, retryAfter: time.optional() }).optional(),
  bootTimings: bootTimings,
  warnings: boundedList(boundedText(limits.warningChars), limits.warnings),
  devices: devices.optional(),
  /** Log text, warnings and devices are left out, as in a hello. The last complete report still holds for them. */
  abridged: z.boolean().optional(),
});
export type ObservedVirtualMachine = z.infer<typeof observedVirtualMachine>;

// --- messages ---------------------------------------------------------------------------------------------------------

/** An element that is known to be about one VM. The rest of it is parsed separately. */
const element = z.looseObject({ uid });
export type Element = z.infer<typeof element>;
const elements = boundedList(element, limits.partElements);

const hello = z.object({
  type: z.literal('hello'),
  protocolVersions: boundedList(z.string().max(32), 8),
  agentVersion: boundedText(64),
  bootID: uid,
  /**
   * The epoch of the last session of this process. An epoch that the operator does not know shows that the cluster was
   * restored from a backup.
   */
  lastEpoch: epoch.optional(),
  /**
   * What this agent understands beyond the messages that every agent understands. The operator ignores unknown ones.
   */
  capabilities: boundedList(z.string().max(64), 64).optional(),
  host: hostFacts,
  virtualMachines: elements,
  /** HCS was fully enumerated: a VM that is not listed does not exist on this node. */
  complete: z.boolean(),
  last: z.boolean(),
});

const observed = z.object({ type: z.literal('observed'), virtualMachine: element });
/** `lastExit` says how the VM ended; no earlier message may have said it. */
const removed = z.object({ type: z.literal('removed'), uid, lastExit: lastExit.optional() });
/** The networks of the host have changed. Sent only to an operator with the capability. */
const networks = z.object({ type: z.literal('networks'), network: networkFacts });

export const agentMessage = z.discriminatedUnion('type', [hello, observed, removed, networks, ...agentStreamMessages]);
export type AgentMessage = z.infer<typeof agentMessage>;
export type Hello = z.infer<typeof hello>;

const welcome = z.object({
  type: z.literal('welcome'),
  replica: z.string().max(253),
  epoch,
  heartbeatSeconds: z.number().min(0.05).max(300),
  /** Encodings that stream data may use besides base64 in JSON. */
  streamEncodings: z.array(z.string().max(64)).max(8).optional(),
  /** What this operator understands beyond the messages that every operator understands. */
  capabilities: z.array(z.string().max(64)).max(64).optional(),
});
const policy = z.object({ type: z.literal('policy'), sha256, policy: z.string().max(limits.policyChars) });
const desired = z.object({ type: z.literal('desired'), epoch, virtualMachines: elements, last: z.boolean() });
const assign = z.object({ type: z.literal('assign'), epoch, virtualMachine: element });
/** An `Intent` (`intent.ts`). Sent only to an agent with the capability. */
const intent = z.object({ type: z.literal('intent'), epoch, virtualMachine: element });
const release = z.object({ type: z.literal('release'), epoch, uid });

export const operatorMessage = z.discriminatedUnion('type', [
  welcome,
  policy,
  desired,
  assign,
  intent,
  release,
  ...operatorStreamMessages,
]);
export type OperatorMessage = z.infer<typeof operatorMessage>;
export type Welcome = z.infer<typeof welcome>;

// --- elements that are about one VM -----------------------------------------------------------------------------------

export type ElementFailure = {
  readonly uid: string;
  /** `UnsupportedByAgent` when this agent does not know an option, else `ProtocolError`. */
  readonly reason: 'UnsupportedByAgent' | 'ProtocolError';
  readonly message: string;
};
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: ElementFailure };

export function parseAssignment(element: Element): Parsed<Assignment> {
  return parseElement(assignment, element);
}

export function parseObserved(element: Element): Parsed<ObservedVirtualMachine> {
  return parseElement(observedVirtualMachine, element);
}

export function parseElement<T>(schema: z.ZodType<T>, element: Element): Parsed<T> {
  const result = schema.safeParse(element);
  if (result.success) return { ok: true, value: result.data };
  const unknownOptions = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' && issue.path[0] === 'options' ? issue.keys : [],
  );
  const failure: ElementFailure =
    unknownOptions.length > 0
      ? {
          uid: element.uid,
          reason: 'UnsupportedByAgent',
          message: `the agent does not know the option ${unknownOptions.join(', ')}; upgrade the agent or remove it`,
        }
      : {
          uid: element.uid,
          reason: 'ProtocolError',
          message: problemsOf(result.error),
        };
  return { ok: false, failure };
}

/** Only the first few problems, without the values: a hostile message may have thousands. */
function problemsOf({ issues }: z.ZodError): string {
  const told = issues.slice(0, toldProblems).map(({ path, message }) => `${path.join('.')}: ${message}`);
  return beginning(plainText(told.join('; ')), problemChars);
}

const toldProblems = 3;
const problemChars = 512;
