// What the agent needs of the Host Compute Service (docs/reference/hcs-runtime.md A, B). Two implementations share one
// contract: `computecore` on Windows and `simulated` everywhere. Every call may be slow or may never return: the caller
// bounds it, and a call that exceeded its bound is still running (design §8, `Draining`).

declare const systemId: unique symbol;
declare const runtimeId: unique symbol;

/** The id of a compute system: `luvm-<metadata.uid>`. */
export type SystemId = string & { readonly [systemId]: true };
/**
 * The Hyper-V VM GUID that HCS assigns to a compute system. It is the address of the VM's sockets (hcs-runtime B.2).
 */
export type RuntimeId = string & { readonly [runtimeId]: true };

/** State in the terms of HCS (hcs-runtime B.5). A stopped system still answers queries. */
export type SystemState = 'Created' | 'Running' | 'Paused' | 'Stopped' | 'SavedAsTemplate' | 'Unknown';

export interface SystemProperties {
  readonly id: string;
  readonly owner: string;
  readonly state: SystemState;
  /** Absent until HCS assigns one. */
  readonly runtimeId?: RuntimeId;
}

/** The resources that a system uses (hcs-runtime B.5). A member is absent when HCS does not report it. */
export interface SystemStatistics {
  /** Processor time since the start of the system, in seconds. */
  readonly processorSeconds?: number;
  /** Memory that the host currently provides to the system. */
  readonly assignedMemoryBytes?: number;
}

/** Why a system ended (hcs-runtime A.2, SystemExited). */
export interface SystemExit {
  readonly exitType: 'GracefulExit' | 'ForcedExit' | 'UnexpectedExit' | 'None' | 'Unknown';
  /** HRESULT as an unsigned 32-bit number; 0 is success. */
  readonly status: number;
  /** The cause according to HCS, such as `GuestCrash`; absent when HCS gives none. */
  readonly attribution?: readonly string[];
  /**
   * The last output of a guest that crashed. It comes from the guest, so it is hostile. At most `crashLogLimit`
   * characters.
   */
  readonly crashLog?: string;
}

/** HCS keeps about 4 KiB of a Linux guest's panic text. A longer text loses its beginning. */
export const crashLogLimit = 16_384;

/** The last event of a handle: the system exited, the service went away, or the handle was closed. */
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
  /** Idempotent. Closing the last handle of a system that terminates with its handle ends the system. */
  close(): Promise<void>;
}

/**
 * A system that is being created. HCS returns its handle before it knows whether the creation succeeds, and accepts
 * only these calls on the handle. Closing it gives up a creation that does not return.
 */
export type UnfinishedSystem = Pick<ComputeSystem, 'terminate' | 'close'>;

export interface HcsBackend {
  processorTopology(): Promise<ProcessorTopology>;
  /** All compute systems of the node, of every owner. */
  enumerate(): Promise<readonly SystemProperties[]>;
  /**
   * `begun` receives the handle as soon as HCS returns one. When the creation fails, the system is terminated and its
   * handle closed before this rejects.
   */
  create(id: SystemId, document: string, begun?: (system: UnfinishedSystem) => void): Promise<ComputeSystem>;
  open(id: SystemId): Promise<ComputeSystem>;
  /**
   * Gives one VM access to a file (hcs-runtime G.2). The VM need not exist. Revoking access that was not granted
   * succeeds.
   */
  grantVmAccess(id: SystemId, path: string): Promise<void>;
  revokeVmAccess(id: SystemId, path: string): Promise<void>;
  close(): Promise<void>;
}
