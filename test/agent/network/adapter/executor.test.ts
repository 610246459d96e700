import { describe, expect, it } from 'vitest';
import { CallOverdue } from '../../../../agent/bounds/bounded.ts';
import { endpointDocument, endpointPolicies, identityOf } from '../../../../agent/network/endpoint-document.ts';
import type { EndpointId, NetworkId } from '../../../../agent/node/network-service.ts';
import { AdapterWorld, network, uid } from '../../../support/agent/adapter-world.ts';

const { id } = identityOf({ uid, name: 'eth0' });
const other = '0a1b2c3d-0000-4000-8000-000000000001' as EndpointId;
const forwarded = [{ protocol: 'TCP', port: 80, hostPort: 8080 }] as const;

async function settled(): Promise<AdapterWorld> {
  const world = new AdapterWorld();
  await world.settle();
  return world;
}

/** The world when the adapter has just come to the state. */
async function arrived(state: string): Promise<AdapterWorld> {
  const world = new AdapterWorld();
  for (let steps = 0; steps < 12 && world.journal?.state !== state; steps += 1) await world.step();
  expect(world.journal?.state).toBe(state);
  return world;
}

describe('an adapter', () => {
  it('is created, put in and configured', async () => {
    const world = await settled();
    expect(world.lines.filter((line) => line !== 'journal')).toEqual([
      ...['readEndpoint', 'createEndpoint'],
      ...['readEndpoint', 'host', 'guest'],
      ...['readEndpoint', 'configure'],
    ]);
  });

  it('is created and no more while the VM does not run', async () => {
    const world = new AdapterWorld();
    world.hasRun = false;
    await world.settle();
    expect(world.journal).toMatchObject({ state: 'created', place: { addresses: [{ prefixLength: 16 }] } });
  });

  it('falls back to its endpoint when the VM ends, and comes back with the same address', async () => {
    const world = await settled();
    await world.endRun();
    expect(world.journal?.state).toBe('created');
    await world.startRun();
    await world.settle();
    expect([world.journal?.state, world.places.size]).toEqual(['configured', 1]);
  });

  it('is released and created again when it is to be on another network', async () => {
    const world = await settled();
    world.wish = { ...world.wish, network: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a03' as NetworkId };
    await world.settle();
    expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', []]);
  });
});

describe('policies', () => {
  it('are replaced in a running VM', async () => {
    const world = await settled();
    world.wish = { ...world.wish, ports: forwarded };
    await world.settle();
    expect(world.journal?.state).toBe('configured');
    expect(JSON.parse(await world.hns.readEndpoint(id))).toMatchObject({ Policies: endpointPolicies(world.wish) });
  });

  it('are replaced if the endpoint was made with others just before a death', async () => {
    const world = new AdapterWorld();
    world.plan({ line: 1, when: 'after', kind: 'death' });
    await world.step();
    expect([world.journal?.state, await world.endpoints()]).toEqual(['creating', [id]]);
    world.wish = { ...world.wish, ports: forwarded };
    await world.settle();
    expect(JSON.parse(await world.hns.readEndpoint(id))).toMatchObject({ Policies: endpointPolicies(world.wish) });
  });

  it('that HNS refuses hold up neither the end of the VM nor the release', async () => {
    const world = await settled();
    world.wish = { ...world.wish, ports: forwarded };
    await world.step();
    world.plan({ line: 1, when: 'before', kind: 0x803b_000d });
    expect(await world.step()).toMatchObject({ failure: { reason: 'PolicyRejected', repeated: 'afterChange' } });
    world.goal = 'released';
    await world.settle();
    expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', []]);
  });
});

describe('a lost endpoint', () => {
  it('is made again with its id, MAC address and address, and put in again', async () => {
    const world = await settled();
    world.hns.restart();
    expect(await world.compare()).toMatchObject({ failure: { reason: 'EndpointLost' }, next: { state: 'detaching' } });
    await world.settle();
    expect([world.journal?.state, world.places.size, await world.endpoints()]).toEqual(['configured', 1, [id]]);
  });

  it('is not made again while its network is gone, too', async () => {
    const world = await settled();
    world.hns.removeNetwork(network);
    expect(await world.compare()).toMatchObject({ failure: { reason: 'NetworkNotFound' } });
    expect(world.journal?.state).toBe('configured');
  });

  it('is waited for if its address is taken meanwhile', async () => {
    const world = await settled();
    world.hns.restart();
    await world.addForeign(other, '172.20.0.2');
    await world.compare();
    const outcomes = [];
    for (let steps = 0; steps < 4; steps += 1) outcomes.push(await world.step());
    expect(outcomes.at(-1)).toMatchObject({ failure: { reason: 'AddressInUse', repeated: 'afterPause' } });
    await world.hns.deleteEndpoint(other);
    await world.settle();
    expect([world.journal?.state, world.places.size]).toEqual(['configured', 1]);
  });
});

describe('an endpoint that is attached elsewhere', () => {
  it('is replaced after the end of the VM, and not tried before', async () => {
    const world = await arrived('attaching');
    world.plan({ line: 1, when: 'before', kind: 0x803b_0014 });
    expect(await world.step()).toMatchObject({ failure: { reason: 'EndpointInUse', repeated: 'afterRun' } });
    expect(await world.step()).toEqual({ kind: 'rests' });
    await world.endRun();
    expect(world.journal).toMatchObject({ state: 'creating', replaces: true });
    await world.startRun();
    await world.settle();
    expect([world.journal?.state, world.places.size]).toEqual(['configured', 1]);
  });
});

describe("somebody else's endpoint", () => {
  it('with our id is neither used nor deleted', async () => {
    const world = new AdapterWorld();
    const { text } = endpointDocument({ ...world.wish, name: 'other' });
    await world.hns.createEndpoint(network, id, text);
    expect(await world.step()).toMatchObject({ failure: { reason: 'HNSUnsupported', repeated: 'afterChange' } });
    world.goal = 'released';
    await world.settle();
    expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', [id]]);
  });

  it('in the answer to a creation is not deleted', async () => {
    const world = new AdapterWorld();
    const { text } = endpointDocument({ ...world.wish, name: 'other' });
    await world.hns.createEndpoint(network, other, text);
    world.create = () => world.hns.readEndpoint(other);
    expect(await world.step()).toMatchObject({ failure: { reason: 'HNSUnsupported' } });
    expect(await world.endpoints()).toEqual([other]);
  });
});

describe('an HNS that gives an endpoint another id', () => {
  const ignoring = () => {
    const world = new AdapterWorld();
    world.create = (to, _, text) => world.hns.createEndpoint(to, other, text);
    return world;
  };

  it('gets it deleted at once', async () => {
    const world = ignoring();
    expect(await world.step()).toMatchObject({ failure: { reason: 'HNSUnsupported', repeated: 'afterChange' } });
    expect(await world.endpoints()).toEqual([]);
  });

  it('gets it deleted also when the journal cannot be written', async () => {
    const world = ignoring();
    world.plan({ line: 2, when: 'before', kind: 0 });
    await world.step();
    expect([world.lines.at(-1), world.journal?.state, await world.endpoints()]).toEqual([
      'deleteEndpoint',
      'creating',
      [],
    ]);
  });

  it.each(['before', 'after'] as const)(
    'gets it deleted later, if it fails or the agent dies %s the deletion',
    async (when) => {
      for (const kind of [0x8007_06ba, 'death'] as const) {
        const world = ignoring();
        world.plan({ line: 3, when, kind });
        await world.step();
        expect(world.journal).toMatchObject({ state: 'creating', stray: other });
        world.goal = 'released';
        await world.settle();
        expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', []]);
      }
    },
  );
});

describe('a release', () => {
  it('waits for an HNS that is down', async () => {
    const world = await settled();
    await world.endRun();
    world.goal = 'released';
    await world.step();
    world.plan({ line: 1, when: 'before', kind: 0x8007_06ba });
    expect(await world.step()).toMatchObject({ failure: { reason: 'HNSUnavailable', repeated: 'afterPause' } });
    expect(world.journal?.state).toBe('deleting');
    await world.settle();
    expect([world.journal?.state, await world.endpoints()]).toEqual(['gone', []]);
  });

  it('believes "not found" of an HNS without the network only when it is said again a minute later', async () => {
    const world = await settled();
    await world.endRun();
    world.goal = 'released';
    await world.step();
    world.hns.removeNetwork(network);
    const asked = async () => {
      world.plan({ line: 0, when: 'before', kind: 0x8007_0490 });
      return (await world.step())?.kind;
    };
    expect(await asked()).toBe('failed');
    world.now += 59_000;
    expect(await asked()).toBe('failed');
    world.now += 1_000;
    expect(await asked()).toBe('turned');
    expect(world.journal?.state).toBe('gone');
  });
});

describe('a failure', () => {
  it.each([
    [0x803b_0001, 'NetworkNotFound', 'afterPause'],
    [0x803b_002f, 'AddressInUse', 'afterPause'],
    [0x803b_001e, 'AddressOutsideSubnet', 'afterChange'],
    [0x803b_000d, 'PolicyRejected', 'afterChange'],
    [0x803b_0013, 'HostPortTaken', 'afterPause'],
    [0x803b_0014, 'EndpointInUse', 'afterPause'],
    [0x8007_06ba, 'HNSUnavailable', 'afterPause'],
    [0x8007_007e, 'HNSUnsupported', 'afterChange'],
    [0x8000_4005, 'HNSUnavailable', 'afterPause'],
  ])('of a creation with 0x%x is %s, repeated %s', async (kind, reason, repeated) => {
    const world = new AdapterWorld();
    world.plan({ line: 1, when: 'before', kind });
    expect(await world.step()).toMatchObject({ failure: { reason, repeated }, next: { state: 'creating' } });
    await world.settle();
    expect(world.journal?.state).toBe('configured');
  });

  it('of the guest is GuestNetworkNotConfigured, and tried again', async () => {
    const world = await arrived('attached');
    world.plan({ line: 1, when: 'before', kind: 0 });
    expect(await world.step()).toMatchObject({ failure: { reason: 'GuestNetworkNotConfigured' } });
    await world.settle();
    expect(world.journal?.state).toBe('configured');
  });

  it('that leaves a call under way holds up the adapter until the call has returned', async () => {
    const world = new AdapterWorld();
    const late = Promise.withResolvers<string>();
    world.create = () => Promise.reject(new CallOverdue('HcnCreateEndpoint', 30_000, late.promise));
    expect(await world.step()).toMatchObject({ failure: { reason: 'HNSUnavailable', repeated: 'afterPause' } });
    world.create = undefined;
    expect(await world.step()).toEqual({ kind: 'rests' });
    late.reject(new Error('too late'));
    await late.promise.catch(() => undefined);
    await world.settle();
    expect(world.journal?.state).toBe('configured');
  });
});
