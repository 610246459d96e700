// Failures of HCS calls as values: the HRESULT, its name, and the class of the failure (hcs-runtime A.6).

/** Conditions that exist in two numberings with the same low word: 0xC037xxxx (older API, guest) and 0x8037xxxx. */
const facilityNames: ReadonlyMap<number, string> = new Map([
  [0x0100, 'TERMINATED_DURING_START'],
  [0x0101, 'IMAGE_MISMATCH'],
  [0x0102, 'HYPERV_NOT_INSTALLED'],
  [0x0103, 'OPERATION_PENDING'],
  [0x0104, 'TOO_MANY_NOTIFICATIONS'],
  [0x0105, 'INVALID_STATE'],
  [0x0106, 'UNEXPECTED_EXIT'],
  [0x0107, 'TERMINATED'],
  [0x0108, 'CONNECT_FAILED'],
  [0x0109, 'CONNECTION_TIMEOUT'],
  [0x010a, 'CONNECTION_CLOSED'],
  [0x010b, 'UNKNOWN_MESSAGE'],
  [0x010c, 'UNSUPPORTED_PROTOCOL_VERSION'],
  [0x010d, 'INVALID_JSON'],
  [0x010e, 'SYSTEM_NOT_FOUND'],
  [0x010f, 'SYSTEM_ALREADY_EXISTS'],
  [0x0110, 'SYSTEM_ALREADY_STOPPED'],
  [0x0111, 'PROTOCOL_ERROR'],
  [0x0112, 'INVALID_LAYER'],
  [0x0113, 'WINDOWS_INSIDER_REQUIRED'],
  [0x0114, 'SERVICE_NOT_AVAILABLE'],
  [0x0115, 'OPERATION_NOT_STARTED'],
  [0x0116, 'OPERATION_ALREADY_STARTED'],
  [0x0117, 'OPERATION_PENDING'],
  [0x0118, 'OPERATION_TIMEOUT'],
  [0x0119, 'OPERATION_SYSTEM_CALLBACK_ALREADY_SET'],
  [0x011a, 'OPERATION_RESULT_ALLOCATION_FAILED'],
  [0x011b, 'ACCESS_DENIED'],
  [0x011c, 'GUEST_CRITICAL_ERROR'],
  [0x011d, 'PROCESS_INFO_NOT_AVAILABLE'],
  [0x011e, 'SERVICE_DISCONNECT'],
  [0x011f, 'PROCESS_ALREADY_STOPPED'],
  [0x0120, 'SYSTEM_NOT_CONFIGURED_FOR_OPERATION'],
  [0x0121, 'OPERATION_ALREADY_CANCELLED'],
]);

const win32Names: Readonly<Record<number, string>> = {
  5: 'ERROR_ACCESS_DENIED',
  6: 'ERROR_INVALID_HANDLE',
  8: 'ERROR_NOT_ENOUGH_MEMORY',
  13: 'ERROR_INVALID_DATA',
  14: 'ERROR_OUTOFMEMORY',
  50: 'ERROR_NOT_SUPPORTED',
  87: 'ERROR_INVALID_PARAMETER',
  127: 'ERROR_PROC_NOT_FOUND',
  1168: 'ERROR_NOT_FOUND',
  1450: 'ERROR_NO_SYSTEM_RESOURCES',
  1455: 'ERROR_COMMITMENT_LIMIT',
};

/**
 * Statuses of the hypervisor, and of the driver that provides memory to VMs, that mean that the host lacks resources.
 */
const capacityStatuses: ReadonlyMap<number, string> = new Map([
  [0xc035_000b, 'HV_INSUFFICIENT_MEMORY'],
  [0xc035_0073, 'HV_INSUFFICIENT_ROOT_MEMORY'],
  [0xc035_0075, 'HV_INSUFFICIENT_CONTIGUOUS_MEMORY'],
  [0xc037_002b, 'VID_INSUFFICIENT_RESOURCES_RESERVE'],
  [0xc037_002c, 'VID_INSUFFICIENT_RESOURCES_PHYSICAL_BUFFER'],
  [0xc037_002d, 'VID_INSUFFICIENT_RESOURCES_HV_DEPOSIT'],
  [0xc037_002f, 'VID_INSUFFICIENT_RESOURCES_WITHDRAW'],
]);

/** Default memory is backed by the page file, so the commitment limit bounds it. */
const capacityWin32: ReadonlySet<number> = new Set([8, 14, 1450, 1455]);

const vmComputeFacilities: ReadonlySet<number> = new Set([0xc037, 0x8037]);

export const hresult = {
  notFound: 0x8037_010e,
  alreadyExists: 0x8037_010f,
  alreadyStopped: 0x8037_0110,
  invalidState: 0x8037_0105,
  invalidJson: 0x8037_010d,
  terminatedDuringStart: 0x8037_0100,
  terminated: 0x8037_0107,
  operationTimeout: 0x8037_0118,
  unexpectedExit: 0xc037_0106,
  serviceDisconnect: 0x8037_011e,
  outOfMemory: 0x8007_000e,
  noSystemResources: 0x8007_05aa,
  commitmentLimit: 0x8007_05af,
} as const;

export class HcsError extends Error {
  override readonly name = 'HcsError';
  readonly operation: string;
  /** Unsigned 32 bits. */
  readonly hresult: number;
  readonly detail: string | undefined;

  constructor(operation: string, code: number, detail?: string) {
    const unsigned = code >>> 0;
    super(`${operation}: ${nameOf(unsigned)} (0x${unsigned.toString(16)})${detail === undefined ? '' : `: ${detail}`}`);
    this.operation = operation;
    this.hresult = unsigned;
    this.detail = detail;
  }

  /** The system does not exist, according to any of the APIs. */
  get isNotFound(): boolean {
    return this.#matches(0x010e) || this.#win32 === 0x490;
  }

  get isAlreadyStopped(): boolean {
    return this.#matches(0x0110) || this.#win32 === 0x490;
  }

  get isAlreadyExists(): boolean {
    return this.#matches(0x010f);
  }

  /** HCS refuses the document or a value in it (E_INVALIDARG): sending it again cannot help. */
  get isDocumentRefused(): boolean {
    return this.#matches(0x010d) || this.#win32 === 0x0d || this.#win32 === 0x57;
  }

  /** The caller is not a member of Administrators or Hyper-V Administrators (hcs-runtime G.1). */
  get isAccessDenied(): boolean {
    return this.#matches(0x011b) || this.#win32 === 0x05;
  }

  /** The hypervisor or a feature that HCS needs is missing. */
  get isHypervisorMissing(): boolean {
    return this.#matches(0x0102) || this.#matches(0x0114);
  }

  /** The compute service went away: the state of the system is unknown. */
  get isServiceDisconnect(): boolean {
    return this.#matches(0x011e);
  }

  /** HCS or the guest has not answered in time: whether the call took effect, or will, is unknown. */
  get isUnanswered(): boolean {
    return this.#matches(0x0118) || this.#matches(0x0109);
  }

  /** The host lacks memory or other resources for the VM: another host may have them. */
  get isCapacity(): boolean {
    return capacityWin32.has(this.#win32 ?? 0) || capacityStatuses.has(this.#ntStatus);
  }

  #matches(lowWord: number): boolean {
    return vmComputeFacilities.has(this.hresult >>> 16) && (this.hresult & 0xffff) === lowWord;
  }

  /** The status itself, also when it is inside an HRESULT (HRESULT_FROM_NT). */
  get #ntStatus(): number {
    return (this.hresult & ~0x1000_0000) >>> 0;
  }

  get #win32(): number | undefined {
    return (this.hresult & 0x1fff_0000) === 0x0007_0000 ? this.hresult & 0xffff : undefined;
  }
}

function nameOf(code: number): string {
  const low = code & 0xffff;
  const status = capacityStatuses.get((code & ~0x1000_0000) >>> 0);
  if (status !== undefined) return status;
  if (vmComputeFacilities.has(code >>> 16)) return facilityNames.get(low) ?? 'HCS failure';
  if ((code & 0x1fff_0000) === 0x0007_0000) return win32Names[low] ?? `Win32 error ${low}`;
  return 'HRESULT';
}
