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
  10053: { name: 'WSAECONNABORTED', code: 'ECONNABORTED' },
  10054: { name: 'WSAECONNRESET', code: 'ECONNRESET' },
  10055: { name: 'WSAENOBUFS', code: 'ENOBUFS' },
  10057: { name: 'WSAENOTCONN', code: 'ENOTCONN' },
  10058: { name: 'WSAESHUTDOWN', code: 'EPIPE' },
  10060: { name: 'WSAETIMEDOUT', code: 'ETIMEDOUT' },
};

export function socketError({ step, code }: SocketFailure): NodeJS.ErrnoException {
  const known = knownErrors[code];
  const hint = known?.hint === undefined ? '' : `: ${known.hint}`;
  const error = new Error(`${step}: ${known?.name ?? 'Winsock error'} (${code})${hint}`);
  return Object.assign(error, { code: known?.code ?? `WSA${code}`, syscall: step });
}
