// The address at which the leader serves the aggregated API, from an annotation of the Lease. Read again for each
// connection that is forwarded, so that two replicas take each other for the leader no longer than the Lease does.
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import type { LeaseStore } from '../kubernetes/lease-client.ts';

export const apiAddressAnnotation = 'lcow.dev/api-address';
const readMilliseconds = 2_000;

export interface Address {
  readonly host: string;
  readonly port: number;
}

const annotated = z.looseObject({ annotations: z.record(z.string(), z.string()).default({}) });
const addressText = /^\[?([^\]]+)\]?:(\d{1,5})$/;

export class LeaderAddress {
  readonly #lease: Pick<LeaseStore, 'get'>;
  readonly #replica: string;
  #reading: Promise<Address | undefined> | undefined;

  constructor(lease: Pick<LeaseStore, 'get'>, replica: string) {
    this.#lease = lease;
    this.#replica = replica;
  }

  /** Undefined when nobody leads, when this replica leads, or when the Lease cannot be read. */
  find(): Promise<Address | undefined> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<Address | undefined> {
    const read = await this.#lease.get(readMilliseconds);
    if (!read.ok || read.value.holder === undefined || read.value.holder === this.#replica) return undefined;
    const text = annotated.safeParse(read.value.metadata).data?.annotations[apiAddressAnnotation];
    const [, host, port] = addressText.exec(text ?? '') ?? [];
    return host === undefined ? undefined : { host, port: Number(port) };
  }
}

/** The address at which other replicas reach this one, as `host:port`. */
export function advertisedAddress(
  bindAddress: string | undefined,
  port: number,
  interfaces: Interfaces = networkInterfaces(),
): string {
  const host = isAny(bindAddress) ? (firstAddress(bindAddress, interfaces) ?? bindAddress ?? '::') : bindAddress;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

type Interfaces = ReturnType<typeof networkInterfaces>;

function isAny(address: string | undefined): address is '0.0.0.0' | '::' | undefined {
  return address === undefined || address === '0.0.0.0' || address === '::';
}

/** A pod has one network. IPv4 if there are both, unless the server listens on IPv6. */
function firstAddress(bindAddress: string | undefined, interfaces: Interfaces): string | undefined {
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? []);
  const outside = all.filter(({ address, internal }) => !internal && !address.startsWith('fe80:'));
  const preferred = bindAddress === '::' ? 'IPv6' : 'IPv4';
  return (outside.find(({ family }) => family === preferred) ?? outside[0])?.address;
}
