// The messages between clients and the service process of a simulated node: JSON lines over a Unix socket. A request
// has a number and gets one reply; `ended` is an event, sent once for each handle. Both sides parse everything they
// read.
import { z } from 'zod';
import type { RuntimeId, SystemId } from '../../agent/node/backend.ts';
import type { EndpointId, NetworkId } from '../../agent/node/network-service.ts';
import { hostFacts } from '../../protocol/messages.ts';
import { fileEntry } from './file-entry.ts';
import { simulatedNetwork } from './network.ts';
import { connectionsOfPaused, guestEnds, scriptRule, steps } from './script.ts';

/** A document can contain a policy digest and hundreds of table entries, but not more. */
export const maxLineBytes = 8 << 20;
/** The most bytes of a file in one message. */
export const maxPieceBytes = 1 << 20;
/** Most requests of one connection that wait for their reply. */
export const maxPendingRequests = 8192;

export const runtimeId = z.guid().transform((text) => text as RuntimeId);
export const systemId = z
  .string()
  .min(1)
  .max(128)
  .transform((text) => text as SystemId);

const networkId = z.guid().transform((text) => text.toLowerCase() as NetworkId);
const endpointId = z.guid().transform((text) => text.toLowerCase() as EndpointId);

const handle = z.int().min(1);
const path = z.string().max(32_767);
const nothing = z.strictObject({});
const onHandle = z.strictObject({ handle });
const answer = z.object({ text: z.string() });
const hresultNumber = z.int().min(0).max(0xffff_ffff);

export const systemProperties = z.object({
  id: z.string(),
  owner: z.string(),
  state: z.enum(['Created', 'Running', 'Paused', 'Stopped', 'SavedAsTemplate', 'Unknown']),
  runtimeId: runtimeId.exactOptional(),
});

const systemStatistics = z.object({
  processorSeconds: z.number().exactOptional(),
  assignedMemoryBytes: z.number().exactOptional(),
});

export const systemExit = z.object({
  exitType: z.enum(['GracefulExit', 'ForcedExit', 'UnexpectedExit', 'None', 'Unknown']),
  status: hresultNumber,
  attribution: z.array(z.string()).readonly().exactOptional(),
  crashLog: z.string().exactOptional(),
});

const fileFact = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('file'), size: z.int() }),
  z.object({ kind: z.literal('folder') }),
  z.object({ kind: z.literal('notFound') }),
  z.object({ kind: z.literal('error'), message: z.string() }),
]);

const openedFile = z.object({
  file: z.object({ kind: z.enum(['file', 'folder']), path: z.string(), size: z.int() }).exactOptional(),
});

/** The phases of a guest's life. */
export const guestPhases = ['booting', 'seeded', 'logging', 'service', 'running', 'ended'] as const;
export type GuestPhase = (typeof guestPhases)[number];

/** Details of a system that only tests see. */
export const systemDetail = systemProperties.extend({
  document: z.string(),
  handles: z.int(),
  memoryInMB: z.int(),
  processorLimits: z.record(z.string(), z.number()),
  cpuGroup: z.string().optional(),
  /** `controller:lun` → path. */
  disks: z.record(z.string(), z.string()),
  /** Name → path of the shared folder. */
  shares: z.record(z.string(), z.string()),
  terminatesWithLastHandle: z.boolean(),
  exit: systemExit.optional(),
  guest: z
    .object({
      phase: z.enum(guestPhases),
      entropyBytes: z.int(),
      /** Path in the guest → `controller:lun` or `share:name`. */
      mounts: z.record(z.string(), z.string()),
      /** The files of the guest's own image that still exist. */
      files: z.array(z.string()),
      securityPolicy: z.string().optional(),
      uvmReference: z.string().optional(),
      uvmHashEnvelopeReference: z.string().optional(),
    })
    .optional(),
});
export type SystemDetail = z.infer<typeof systemDetail>;

const visit = z.object({ step: z.enum(steps), system: z.string().exactOptional(), path: z.string().exactOptional() });

/** Parameters and result of each method. */
export const methods = {
  // Methods of the agent: the folder of its guest sockets, the Windows host, HCS.
  hello: { params: z.strictObject({ socketDirectory: z.string() }), result: nothing },
  facts: { params: nothing, result: hostFacts },
  stat: { params: z.strictObject({ path }), result: fileFact },
  readFile: {
    params: z.strictObject({ path, maxBytes: z.int().min(0) }),
    result: z.object({ base64: z.base64().exactOptional() }),
  },
  openFile: { params: z.strictObject({ path }), result: openedFile },
  readPiece: {
    params: z.strictObject({ path, offset: z.int().min(0), length: z.int().min(0).max(maxPieceBytes) }),
    result: z.object({ base64: z.base64() }),
  },
  copyFile: { params: z.strictObject({ from: path, to: path }), result: nothing },
  deleteFile: { params: z.strictObject({ path }), result: nothing },
  grantVmGroupAccess: {
    params: z.strictObject({ path, access: z.enum(['read', 'all']).default('all') }),
    result: nothing,
  },
  processorTopology: { params: nothing, result: z.object({ logicalProcessorCount: z.int() }) },
  enumerate: { params: nothing, result: z.array(systemProperties) },
  create: { params: z.strictObject({ id: systemId, document: z.string() }), result: onHandle },
  /** Ends a pending `create` of this client. */
  cancelCreation: { params: z.strictObject({ id: systemId }), result: nothing },
  open: { params: z.strictObject({ id: systemId }), result: onHandle },
  grantVmAccess: { params: z.strictObject({ id: systemId, path }), result: nothing },
  revokeVmAccess: { params: z.strictObject({ id: systemId, path }), result: nothing },
  start: { params: onHandle, result: nothing },
  shutdown: { params: onHandle, result: nothing },
  terminate: { params: onHandle, result: nothing },
  modify: { params: z.strictObject({ handle, document: z.string() }), result: nothing },
  properties: { params: onHandle, result: systemProperties },
  statistics: { params: onHandle, result: systemStatistics },
  close: { params: onHandle, result: nothing },
  // Methods of the agent: HNS.
  hnsVersion: { params: nothing, result: z.object({ major: z.int(), minor: z.int() }) },
  listNetworks: { params: nothing, result: answer },
  readNetwork: { params: z.strictObject({ id: networkId }), result: answer },
  listEndpoints: { params: nothing, result: answer },
  readEndpoint: { params: z.strictObject({ id: endpointId }), result: answer },
  createEndpoint: {
    params: z.strictObject({ network: networkId, id: endpointId, document: z.string() }),
    result: answer,
  },
  modifyEndpoint: { params: z.strictObject({ id: endpointId, change: z.string() }), result: nothing },
  deleteEndpoint: { params: z.strictObject({ id: endpointId }), result: nothing },
  // Methods that control the simulation.
  script: { params: z.strictObject({ rule: scriptRule }), result: z.object({ rule: z.int() }) },
  release: { params: z.strictObject({ rule: z.int().optional() }), result: nothing },
  visits: { params: nothing, result: z.array(visit) },
  systems: { params: nothing, result: z.array(systemDetail) },
  files: { params: nothing, result: z.array(fileEntry) },
  diskFiles: { params: nothing, result: z.record(z.string(), z.array(z.string())) },
  endGuest: { params: z.strictObject({ system: z.string(), how: z.enum(guestEnds) }), result: nothing },
  pause: {
    params: z.strictObject({ system: z.string(), connections: z.enum(connectionsOfPaused).default('stay') }),
    result: nothing,
  },
  resume: { params: z.strictObject({ system: z.string() }), result: nothing },
  writeFile: { params: z.strictObject({ system: z.string(), path: z.string() }), result: nothing },
  holdOpen: { params: z.strictObject({ system: z.string(), path: z.string() }), result: nothing },
  dropBridge: { params: z.strictObject({ system: z.string() }), result: nothing },
  writeLog: {
    params: z.strictObject({ system: z.string(), text: z.string(), times: z.int().min(1).optional() }),
    result: nothing,
  },
  disconnectClients: { params: nothing, result: nothing },
  addNetwork: { params: z.strictObject({ network: simulatedNetwork }), result: nothing },
  removeNetwork: { params: z.strictObject({ id: z.string() }), result: nothing },
  restartHns: { params: nothing, result: nothing },
  rebootHns: { params: nothing, result: nothing },
} as const;

export type Method = keyof typeof methods;
export type Params<M extends Method> = z.input<(typeof methods)[M]['params']>;
export type ParsedParams<M extends Method> = z.output<(typeof methods)[M]['params']>;
export type Result<M extends Method> = z.output<(typeof methods)[M]['result']>;

export const request = z.object({ number: z.int().min(1), method: z.string(), params: z.unknown() });

/** A failure with an HRESULT comes from HCS. Others are worded like Windows. */
const failure = z.object({
  operation: z.string(),
  message: z.string(),
  hresult: hresultNumber.optional(),
  detail: z.string().optional(),
});
export type Failure = z.infer<typeof failure>;

export const serviceMessage = z.union([
  z.object({ number: z.int(), result: z.unknown() }),
  z.object({ number: z.int(), failure }),
  z.object({ ended: handle, exit: systemExit }),
]);

/** Throws a ZodError for parameters that the method does not accept. */
export function parseParams<M extends Method>(method: M, params: unknown): ParsedParams<M> {
  return methods[method].params.parse(params) as ParsedParams<M>;
}

export function parseResult<M extends Method>(method: M, result: unknown): Result<M> {
  return methods[method].result.parse(result) as Result<M>;
}

export function isMethod(name: string): name is Method {
  return Object.hasOwn(methods, name);
}
