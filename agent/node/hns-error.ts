// Failures of calls to HNS as values: the HRESULT, and what it means to a VM's network (docs/reference/hns.md).
import { beginning } from '../../runtime/beginning.ts';
import { plainText } from '../../runtime/plain-text.ts';

interface Meaning {
  readonly text: string;
  /** Whether the same call can succeed later, without a change of what was asked. */
  readonly isRetryable: boolean;
}

const meanings = {
  NetworkNotFound: { text: 'the host has no such network', isRetryable: true },
  AddressInUse: { text: 'the address is in use or reserved', isRetryable: true },
  AddressOutsideSubnet: { text: 'the address is outside of the subnets of the network', isRetryable: false },
  PolicyRejected: { text: 'the network does not support a policy', isRetryable: false },
  HostPortTaken: { text: 'another program or endpoint has the port of the host', isRetryable: true },
  EndpointInUse: { text: 'the endpoint is attached already', isRetryable: true },
  EndpointGone: { text: 'the endpoint does not exist', isRetryable: true },
  HNSUnavailable: { text: 'the Host Networking Service does not answer', isRetryable: true },
  HNSUnsupported: { text: 'this Windows has no Host Networking Service that the agent can use', isRetryable: false },
  HNSFailed: { text: 'the Host Networking Service failed', isRetryable: true },
} as const satisfies Readonly<Record<string, Meaning>>;

export type HnsReason = keyof typeof meanings;

/** HRESULTs that the agent and the simulated HNS report, by their meaning. */
export const hnsResult = {
  networkNotFound: 0x803b_0001,
  endpointNotFound: 0x803b_0002,
  invalidPolicy: 0x803b_000d,
  portTaken: 0x803b_0013,
  invalidJson: 0x803b_001b,
  invalidAddress: 0x803b_001e,
  addressInUse: 0x803b_002f,
  alreadyExists: 0x8007_00b7,
  elementNotFound: 0x8007_0490,
  serverUnavailable: 0x8007_06ba,
  moduleNotFound: 0x8007_007e,
  /** HNS reported success, but its answer is missing or malformed. */
  unexpectedAnswer: 0x8000_ffff,
} as const;

const reasonOfCode: ReadonlyMap<number, HnsReason> = new Map<number, HnsReason>([
  [0x803b_0001, 'NetworkNotFound'],
  [0x803b_0002, 'EndpointGone'],
  [0x803b_000d, 'PolicyRejected'],
  [0x803b_000e, 'PolicyRejected'],
  [0x803b_0015, 'PolicyRejected'],
  [0x803b_0016, 'PolicyRejected'],
  [0x803b_0013, 'HostPortTaken'],
  [0x8007_0020, 'HostPortTaken'],
  [0x803b_0014, 'EndpointInUse'],
  [0x803b_001e, 'AddressOutsideSubnet'],
  [0x803b_0032, 'AddressOutsideSubnet'],
  [0x803b_0033, 'AddressOutsideSubnet'],
  [0x803b_002f, 'AddressInUse'],
  [0x803b_0020, 'HNSUnavailable'],
  [0x8007_0422, 'HNSUnavailable'],
  [0x8007_06ba, 'HNSUnavailable'],
  [0x8007_06be, 'HNSUnavailable'],
  [0x8007_06bf, 'HNSUnavailable'],
  [0x8000_4001, 'HNSUnsupported'],
  [0x8007_007e, 'HNSUnsupported'],
  [0x8007_007f, 'HNSUnsupported'],
]);

const detailChars = 1024;

export class HnsError extends Error {
  override readonly name = 'HnsError';
  /** The function of computenetwork.dll. */
  readonly operation: string;
  /** Unsigned 32 bits. */
  readonly hresult: number;
  readonly detail: string | undefined;
  readonly reason: HnsReason;

  constructor(operation: string, code: number, detail?: string) {
    const hresult = code >>> 0;
    const reason = reasonOf(operation, hresult);
    const said = detail === undefined ? undefined : beginning(plainText(beginning(detail, detailChars)), detailChars);
    const told = said === undefined ? '' : `: ${said}`;
    super(`${operation}: ${meanings[reason].text} (0x${hresult.toString(16)})${told}`);
    this.operation = operation;
    this.hresult = hresult;
    this.detail = said;
    this.reason = reason;
  }

  /** Whether the same call can succeed later, without a change of what was asked. */
  get isRetryable(): boolean {
    return meanings[this.reason].isRetryable;
  }

  /** HNS gives this answer also before it has loaded what it knows: alone it proves nothing. */
  get isDoubtful(): boolean {
    return this.hresult === hnsResult.elementNotFound;
  }

  get isAccessDenied(): boolean {
    return this.hresult === 0x8007_0005;
  }
}

/** ERROR_NOT_FOUND is about what the call names. The creation of an endpoint names its network. */
function reasonOf(operation: string, hresult: number): HnsReason {
  if (hresult !== hnsResult.elementNotFound) return reasonOfCode.get(hresult) ?? 'HNSFailed';
  return /Endpoint$|EndpointProperties$/.test(operation) && operation !== 'HcnCreateEndpoint'
    ? 'EndpointGone'
    : 'NetworkNotFound';
}
