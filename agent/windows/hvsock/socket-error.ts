// Winsock errors with the codes of Node's own sockets (hcs-runtime C.3, C.4).
import type { SocketFailure } from './pump-messages.ts';

interface KnownError {
  readonly name: string;
  /** The code that Node's own sockets use. */
  readonly code: string;
  readonly hint?: string;
}

const knownErrors: Readonly<Record<number, KnownError>> = {
  10013: {
    name: 'WSAEACCES',
    code: 'EACCES',
    hint: "the VM's bind security descriptor does not let this account listen; the agent must run elevated",
  },
  10022: { name: 'WSAEINVAL', code: 'EINVAL', hint: 'the service is disabled in the service table of the VM' },
  10047: { name: 'WSAEAFNOSUPPORT', code: 'EAFNOSUPPORT', hint: 'this host has no Hyper-V sockets' },
  10048: { name: 'WSAEADDRINUSE', code: 'EADDRINUSE', hint: 'another process listens for this VM and port' },
  10050: { name: 'WSAENETDOWN', code: 'ENETDOWN' },
  10051: { name: 'WSAENETUNREACH', code: 'ENETUNREACH' },
  10053: { name: 'WSAECONNABORTED', code: 'ECONNABORTED' },
  10054: { name: 'WSAECONNRESET', code: 'ECONNRESET' },
  10055: { name: 'WSAENOBUFS', code: 'ENOBUFS' },
  10057: { name: 'WSAENOTCONN', code: 'ENOTCONN' },
  10058: { name: 'WSAESHUTDOWN', code: 'EPIPE' },
  10060: { name: 'WSAETIMEDOUT', code: 'ETIMEDOUT' },
  10061: { name: 'WSAECONNREFUSED', code: 'ECONNREFUSED' },
  10065: { name: 'WSAEHOSTUNREACH', code: 'EHOSTUNREACH' },
};

/** The hints that differ when the host connects to the guest. */
const connectHints: Readonly<Record<number, string>> = {
  10013: "the VM's connect security descriptor does not let this account connect; the agent must run elevated",
  10061: 'no program of the guest listens on this port',
};

export function socketError({ step, code }: SocketFailure): NodeJS.ErrnoException {
  const known = knownErrors[code];
  const text = (step === 'connect' ? connectHints[code] : undefined) ?? known?.hint;
  const hint = text === undefined ? '' : `: ${text}`;
  const error = new Error(`${step}: ${known?.name ?? 'Winsock error'} (${code})${hint}`);
  return Object.assign(error, { code: known?.code ?? `WSA${code}`, syscall: step });
}
