// Failures of HCS calls as values: the HRESULT, what it is called, and which class of trouble it is (hcs-runtime A.6).

/** Conditions that exist in two numberings with the same low word: 0xC037xxxx (older API, guest) and 0x8037xxxx. */
const facilityNames: Readonly<Record<number, string>> = {
  256: 'TERMINATED_DURING_START',
  258: 'HYPERV_NOT_INSTALLED',
  259: 'OPERATION_PENDING',
  261: 'INVALID_STATE',
  262: 'UNEXPECTED_EXIT',
  263: 'TERMINATED',
  264: 'CONNECT_FAILED',
  265: 'CONNECTION_TIMEOUT',
  266: 'CONNECTION_CLOSED',
  267: 'UNKNOWN_MESSAGE',
  268: 'UNSUPPORTED_PROTOCOL_VERSION',
  269: 'INVALID_JSON',
  270: 'SYSTEM_NOT_FOUND',
  271: 'SYSTEM_ALREADY_EXISTS',
  272: 'SYSTEM_ALREADY_STOPPED',
  273: 'PROTOCOL_ERROR',
  276: 'SERVICE_NOT_AVAILABLE',
  280: 'OPERATION_TIMEOUT',
  283: 'ACCESS_DENIED',
  284: 'GUEST_CRITICAL_ERROR',
  286: 'SERVICE_DISCONNECT',
};

const win32Names: Readonly<Record<number, string>> = {
  5: 'ERROR_ACCESS_DENIED',
  6: 'ERROR_INVALID_HANDLE',
  8: 'ERROR_NOT_ENOUGH_MEMORY',
  13: 'ERROR_INVALID_DATA',
  50: 'ERROR_NOT_SUPPORTED',
  127: 'ERROR_PROC_NOT_FOUND',
  1168: 'ERROR_NOT_FOUND',
  1450: 'ERROR_NO_SYSTEM_RESOURCES',
};

const vmComputeFacilities: ReadonlySet<number> = new Set([0xc037, 0x8037]);

export const hresult = {
  notFound: 0x8037_010e,
  alreadyExists: 0x8037_010f,
  alreadyStopped: 0x8037_0110,
  invalidState: 0x8037_0105,
  invalidJson: 0x8037_010d,
  terminatedDuringStart: 0x8037_0100,
  unexpectedExit: 0xc037_0106,
  serviceDisconnect: 0x8037_011e,
  outOfMemory: 0x8007_000e,
  noSystemResources: 0x8007_05aa,
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

  /** The system is not there, whichever API said so. */
  get isNotFound(): boolean {
    return this.#matches(0x010e) || this.#win32 === 0x490;
  }

  get isAlreadyStopped(): boolean {
    return this.#matches(0x0110) || this.#win32 === 0x490;
  }

  get isAlreadyExists(): boolean {
    return this.#matches(0x010f);
  }

  /** The document is not what HCS understands: sending it again cannot help. */
  get isDocumentRefused(): boolean {
    return this.#matches(0x010d) || this.#win32 === 0x0d;
  }

  /** The compute service went away: nothing is known about the system. */
  get isServiceDisconnect(): boolean {
    return this.#matches(0x011e);
  }

  /** The host has not the memory or other resources that the VM asks for: another host may. */
  get isCapacity(): boolean {
    return this.#win32 === 0x08 || this.#win32 === 0x0e || this.#win32 === 0x5aa;
  }

  #matches(lowWord: number): boolean {
    return vmComputeFacilities.has(this.hresult >>> 16) && (this.hresult & 0xffff) === lowWord;
  }

  get #win32(): number | undefined {
    return (this.hresult & 0x1fff_0000) === 0x0007_0000 ? this.hresult & 0xffff : undefined;
  }
}

function nameOf(code: number): string {
  const low = code & 0xffff;
  if (vmComputeFacilities.has(code >>> 16)) return facilityNames[low] ?? 'HCS failure';
  if ((code & 0x1fff_0000) === 0x0007_0000) return win32Names[low] ?? `Win32 error ${low}`;
  return 'HRESULT';
}
