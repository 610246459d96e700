// What `kubectl luvm port-forward` is asked to forward, as the user writes it: `[LOCAL:]vsock:PORT`.
import { isIP } from 'node:net';

export interface Forward {
  /** 0: a free one. */
  readonly localPort: number;
  /** The vsock port in the guest. */
  readonly port: number;
}

const highestPort = 0xffff;
const highestVsockPort = 0xffff_ffff;
const form = /^(?:(\d{0,5}):)?vsock:(\d{1,10})$/;

/** Throws with what is wrong. */
export function parseForward(text: string): Forward {
  const [, local, remote = ''] = form.exec(text) ?? [];
  if (remote === '') {
    throw new Error(
      `"${text}" cannot be forwarded: write vsock:PORT or LOCAL:vsock:PORT. Only vsock ports are forwarded so far, no ports of a network`,
    );
  }
  const port = Number(remote);
  if (port > highestVsockPort) throw new Error(`"${text}": a vsock port is at most ${highestVsockPort}`);
  // As for kubectl, `:PORT` takes a free local port.
  const localPort = local === undefined ? port : Number(local);
  if (localPort <= highestPort) return { localPort, port };
  throw new Error(
    local === undefined
      ? `"${text}": no local port has this number: write LOCAL:${text}, or :${text} for a free local port`
      : `"${text}": a local port is at most ${highestPort}`,
  );
}

export interface LocalAddress {
  readonly address: string;
  /** This computer may lack it. */
  readonly isOptional: boolean;
}

/** @param text as kubectl takes it: IP addresses or `localhost`, separated by commas */
export function parseAddresses(text: string): readonly LocalAddress[] {
  return text.split(',').flatMap((word): LocalAddress[] => {
    const address = word.trim();
    if (address === 'localhost') {
      return [
        { address: '127.0.0.1', isOptional: false },
        { address: '::1', isOptional: true },
      ];
    }
    if (isIP(address) === 0) throw new Error(`"${address}" is neither an IP address nor localhost`);
    return [{ address, isOptional: false }];
  });
}

/** An address with its port, as kubectl prints it. */
export function addressText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
