// The address that a connection counts for, and a name that distinguishes it from all others.
import type { Socket } from 'node:net';
import { isIPv6 } from 'node:net';

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress'>;

/** The peer's address. For IPv6 its 64-bit network, all of whose addresses one computer may use. */
export function peerAddress({ remoteAddress = '' }: Pick<Ends, 'remoteAddress'>): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(remoteAddress)?.[1];
  if (mapped !== undefined) return mapped;
  return isIPv6(remoteAddress) ? networkOf(remoteAddress) : remoteAddress;
}

/** The same for a TCP connection and for the TLS socket on top of it. */
export function connectionName({ remoteAddress, remotePort, localAddress }: Ends): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

function networkOf(address: string): string {
  const [before = '', after] = (address.split('%')[0] ?? '').split('::');
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}
