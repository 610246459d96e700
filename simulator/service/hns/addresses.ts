// The addresses of a simulated network: which ones its subnets contain, which ones are reserved, and which one is free.
import { BlockList, isIPv6 } from 'node:net';

interface Subnet {
  readonly address: string;
  readonly length: number;
}

/** Addresses of one subnet that are tried before it counts as full. */
const mostTried = 65_536;

export class Addresses {
  readonly #subnets: readonly Subnet[];
  readonly #contained = new BlockList();

  constructor(subnets: readonly string[]) {
    this.#subnets = subnets.map((each) => {
      const [address = '', length = ''] = each.split('/');
      return { address, length: Number(length) };
    });
    for (const { address, length } of this.#subnets) this.#contained.addSubnet(address, length, familyOf(address));
  }

  contains(address: string): boolean {
    return this.#contained.check(address, familyOf(address));
  }

  /** The first address of a subnet is the gateway's; the subnet itself and its broadcast address are nobody's. */
  isReserved(address: string): boolean {
    return this.#ofIPv4.some(({ first, size }) => {
      const offset = numberOf(address) - first;
      return !isIPv6(address) && offset >= 0 && offset < size && (offset <= 1 || offset === size - 1);
    });
  }

  /** The gateway of the first subnet of IPv4. */
  get gateway(): string | undefined {
    const [subnet] = this.#ofIPv4;
    return subnet === undefined ? undefined : textOf(subnet.first + 1);
  }

  /** The first free address of a subnet of IPv4; undefined if there is none. */
  free(used: ReadonlySet<string>): { readonly address: string; readonly length: number } | undefined {
    for (const { first, length, size } of this.#ofIPv4) {
      const end = Math.min(size - 1, mostTried);
      for (let offset = 2; offset < end; offset += 1) {
        const address = textOf(first + offset);
        if (!used.has(address)) return { address, length };
      }
    }
    return undefined;
  }

  get #ofIPv4() {
    return this.#subnets
      .filter(({ address }) => !isIPv6(address))
      .map(({ address, length }) => {
        const size = 2 ** (32 - length);
        return { first: Math.floor(numberOf(address) / size) * size, length, size };
      });
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function textOf(address: number): string {
  return [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(address / unit) % 256).join('.');
}
