// What the agent needs of the Host Compute Service, whoever provides it (docs/reference/hcs-runtime.md A, B).
// Two providers, one contract: `computecore` on Windows and `simulated` everywhere. Every call may be slow or never
// come back: bounding it is the caller's part, and a call that exceeded its bound is still running (design §8, `Draining`).

declare const systemId: unique symbol;
declare const runtimeId: unique symbol;

/** The id of a compute system: `luvm-<metadata.uid>`. */
export type SystemId = string & { readonly [systemId]: true };
/** The Hyper-V VM GUID that HCS gives a compute system; the address of its sockets (hcs-runtime B.2). */
export type RuntimeId = string & { readonly [runtimeId]: true };

/** State as HCS names it (hcs-runtime B.5). A stopped system still answers queries. */
export type SystemState = 'Created' | 'Running' | 'Paused' | 'Stopped' | 'SavedAsTemplate' | 'Unknown';

export interface SystemProperties {
  readonly id: string;
  readonly owner: string;
  readonly state: SystemState;
  /** Absent while HCS has not assigned one. */
  readonly runtimeId?: RuntimeId;
}

/** What a system has used and has of its host (hcs-runtime B.5). A member is absent when HCS does not tell it. */
export interface SystemStatistics {
  /** Processor time since its start, in seconds. */
  readonly processorSeconds?: number;
  /** Memory that it has of the host just now. */
  readonly assignedMemoryBytes?: number;
}

/** Why a system ended (hcs-runtime A.2, SystemExited). */
export interface SystemExit {
  readonly exitType: 'GracefulExit' | 'ForcedExit' | 'UnexpectedExit' | 'None' | 'Unknown';
  /** HRESULT as an unsigned 32-bit number; 0 is success. */
  readonly status: number;
  /** What HCS makes responsible for it, such as `GuestCrash`; absent when it says nothing. */
  readonly attribution?: readonly string[];
  /** What a guest that crashed said last; of a guest, so hostile, and at most `crashLogLimit` characters. */
  readonly crashLog?: string;
}

/** Of a Linux guest's panic text HCS keeps about 4 KiB; what is longer is cut in front. */
export const crashLogLimit = 16_384;

/** The end of what a handle can tell: the system exited, the service went away, or the handle was closed. */
export type SystemEnd =
  | { readonly kind: 'exited'; readonly exit: SystemExit }
  | { readonly kind: 'serviceDisconnected' }
  | { readonly kind: 'closed' };

export interface ProcessorTopology {
  readonly logicalProcessorCount: number;
}

export interface ComputeSystem {
  readonly id: SystemId;
  /** Settles once, with the first terminal event; never rejects. */
  readonly ended: Promise<SystemEnd>;
  start(): Promise<void>;
  /** Asks the guest to power off. */
  shutdown(): Promise<void>;
  /** Submits the request; the exit is observed through `ended` (hcs-runtime B.4). Benign on a stopped system. */
  terminate(): Promise<void>;
  modify(document: string): Promise<void>;
  properties(): Promise<SystemProperties>;
  statistics(): Promise<SystemStatistics>;
  /** Idempotent. The last handle of a system that terminates with it takes the system along. */
  close(): Promise<void>;
}

/**
 * A system whose creation is under way. HCS gives its handle before it knows whether there will be a system, and takes
 * nothing on it but its end. Closing it gives up a creation that does not come back.
 */
export type UnfinishedSystem = Pick<ComputeSystem, 'terminate' | 'close'>;

export interface HcsBackend {
  processorTopology(): Promise<ProcessorTopology>;
  /** All compute systems of the node, of every owner. */
  enumerate(): Promise<readonly SystemProperties[]>;
  /**
   * `begun` gets the handle as soon as HCS gives one. A system whose creation failed is terminated, and its handle closed,
   * before this rejects.
   */
  create(id: SystemId, document: string, begun?: (system: UnfinishedSystem) => void): Promise<ComputeSystem>;
  open(id: SystemId): Promise<ComputeSystem>;
  /** Access of one VM to a file (hcs-runtime G.2); the VM need not exist. Revoking what was not granted succeeds. */
  grantVmAccess(id: SystemId, path: string): Promise<void>;
  revokeVmAccess(id: SystemId, path: string): Promise<void>;
  close(): Promise<void>;
}
