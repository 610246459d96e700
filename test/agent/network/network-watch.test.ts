import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { defaultTimeouts, fixedTimes } from '../../../agent/bounds/timeouts.ts';
import type { HostNetwork } from '../../../agent/network/network.ts';
import { NetworkWatch, type NetworkWatchPorts } from '../../../agent/network/network-watch.ts';
import { HnsError } from '../../../agent/node/hns-error.ts';
import type { NetworkId } from '../../../agent/node/network-service.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

const { look, lookAfterFailure } = fixedTimes.network;
const idOf = (number: number) => `7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b${1000 + number}` as NetworkId;

function network(number: number, changes: Partial<HostNetwork> = {}): HostNetwork {
  return { id: idOf(number), name: `net-${number}`, type: 'NAT', subnets: [`10.${number}.0.0/16`], ...changes };
}

class Bed {
  readonly clock = new ManualClock();
  readonly host: HostNetwork[] = [];
  readonly failures: string[] = [];
  readonly logged: string[] = [];
  readonly stop = new AbortController();
  changes = 0;
  notFound = 0x803b_0001;
  lists = 0;
  /** What the next lists do instead. */
  readonly instead: (() => Promise<readonly NetworkId[]>)[] = [];
  version: NetworkWatchPorts['networks']['version'] = async () => ({ major: 13, minor: 2 });
  readonly watch: NetworkWatch;
  readonly ended: Promise<void>;

  constructor(...host: HostNetwork[]) {
    this.host = host;
    this.watch = new NetworkWatch({
      clock: this.clock,
      logger: pino({ base: null }, { write: (line) => void this.logged.push(JSON.parse(line).msg) }),
      networks: {
        version: () => this.version(),
        networks: () => {
          this.lists += 1;
          return this.instead.shift()?.() ?? Promise.resolve(this.host.map(({ id }) => id));
        },
        network: async (id) => {
          const found = this.host.find((each) => each.id === id);
          if (found === undefined) throw new HnsError('HcnOpenNetwork', this.notFound);
          return found;
        },
      },
      timeouts: defaultTimeouts,
      tally: { hnsFailed: (reason) => this.failures.push(reason) },
      changed: () => {
        this.changes += 1;
      },
    });
    this.ended = this.watch.run(this.stop.signal);
  }

  /** Lets the first look, or a change, have its effect. */
  async advance(milliseconds = 0): Promise<void> {
    await this.clock.advance(milliseconds);
  }
}

describe('the watch of the networks of a host', () => {
  it('knows them and the version of HNS after its first look, in an order of its own', async () => {
    const bed = new Bed(network(2), network(1));
    expect(bed.watch.facts).toBeUndefined();
    await bed.advance();
    expect(bed.watch.facts).toEqual({
      hnsVersion: '13.2',
      networks: [
        { name: 'net-1', id: idOf(1), type: 'NAT', subnets: ['10.1.0.0/16'] },
        { name: 'net-2', id: idOf(2), type: 'NAT', subnets: ['10.2.0.0/16'] },
      ],
    });
  });

  it('looks again every 30 s, and tells only what has changed', async () => {
    const bed = new Bed(network(1));
    await bed.advance(2 * look);
    expect([bed.lists, bed.changes]).toEqual([3, 1]);
    bed.host.push(network(2));
    await bed.advance(look);
    expect([bed.watch.facts?.networks.length, bed.changes]).toEqual([2, 2]);
  });

  it('keeps what it knows while HNS fails, looks earlier, and says so once', async () => {
    const bed = new Bed(network(1));
    await bed.advance();
    const unavailable = () => Promise.reject(new HnsError('HcnEnumerateNetworks', 0x8007_06ba));
    bed.instead.push(unavailable, unavailable);
    await bed.advance(look + lookAfterFailure);
    expect(bed.failures).toEqual(['HNSUnavailable', 'HNSUnavailable']);
    expect(bed.watch.facts?.networks).toHaveLength(1);
    await bed.advance(lookAfterFailure);
    expect(bed.lists).toBe(4);
    expect(bed.logged).toEqual([
      'the networks of the host cannot be read',
      'the networks of the host can be read again',
    ]);
  });

  it('does not believe at once that the last network is gone, since HNS answers before it has loaded', async () => {
    const bed = new Bed(network(1));
    await bed.advance();
    const [only] = bed.host.splice(0);
    await bed.advance(2 * look);
    expect([bed.lists, bed.watch.facts?.networks.length]).toEqual([3, 1]);
    if (only !== undefined) bed.host.push(only);
    await bed.advance(look);
    bed.host.splice(0);
    await bed.advance(3 * look);
    expect([bed.watch.facts?.networks.length, bed.changes]).toEqual([0, 2]);
  });

  it('takes a network that is listed and cannot be found for a failure, unless HNS is certain', async () => {
    const bed = new Bed(network(1));
    await bed.advance();
    bed.instead.push(async () => [idOf(1), idOf(7)]);
    bed.notFound = 0x8007_0490;
    bed.host.splice(0);
    await bed.advance(look);
    expect(bed.failures).toEqual(['NetworkNotFound']);
    expect(bed.watch.facts?.networks).toHaveLength(1);
  });

  it('waits for a call that hangs before it asks again', async () => {
    const bed = new Bed(network(1));
    const hanging = Promise.withResolvers<readonly NetworkId[]>();
    bed.instead.push(() => hanging.promise);
    await bed.advance(look);
    bed.instead.push(() => hanging.promise);
    await bed.advance(defaultTimeouts.hns);
    expect(bed.failures).toEqual(['HNSUnavailable']);
    const lists = bed.lists;
    await bed.advance(60 * look);
    expect(bed.lists).toBe(lists);
    hanging.resolve([]);
    bed.instead.length = 0;
    await bed.advance(lookAfterFailure);
    expect(bed.lists).toBe(lists + 1);
    expect(bed.watch.facts?.networks).toHaveLength(1);
  });

  it('ends while a call hangs', async () => {
    const bed = new Bed();
    bed.instead.push(() => new Promise(() => undefined));
    await bed.advance(defaultTimeouts.hns);
    bed.stop.abort();
    await bed.ended;
    expect(bed.failures).toEqual(['HNSUnavailable']);
  });

  it('ends at once on a Windows without HNS', async () => {
    const bed = new Bed();
    bed.instead.push(() => Promise.reject(new HnsError('computenetwork.dll', 0x8007_007e)));
    await bed.ended;
    expect([bed.watch.facts, bed.failures]).toEqual([undefined, ['HNSUnsupported']]);
  });

  it('does without the version, and without a network that goes meanwhile', async () => {
    const bed = new Bed(network(1), network(2));
    await bed.advance();
    bed.version = () => Promise.reject(new HnsError('HNSCall', 0x8007_007f));
    bed.instead.push(async () => [idOf(1), idOf(7)]);
    await bed.advance(look);
    expect(bed.watch.facts).toEqual({ networks: [expect.objectContaining({ id: idOf(1) })] });
    expect(bed.failures).toEqual([]);
  });

  it('leaves out what the status of a host cannot show, and says so', async () => {
    const many = Array.from({ length: 300 }, (_, index) => network(index, { name: `n${'x'.repeat(1000)}` }));
    const bed = new Bed(...many);
    await bed.advance();
    const networks = bed.watch.facts?.networks ?? [];
    expect(networks.length).toBeGreaterThan(10);
    expect(JSON.stringify(networks).length).toBeLessThanOrEqual(8 * 1024 + 64);
    expect(bed.logged).toEqual(['the host has more networks than its status can show']);
    await bed.advance(look);
    expect(bed.logged).toHaveLength(1);
  });
});
