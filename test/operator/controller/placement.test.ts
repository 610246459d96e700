import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LinuxUtilityVMManifestSpec, linuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import {
  type Candidate,
  needsKey,
  needsOf,
  place,
  refusalToTakeBack,
} from '../../../operator/controller/placement/placement.ts';
import { parseQuantity } from '../../../operator/kubernetes/quantity.ts';
import { makeHost, makeNode } from '../../support/operator/objects.ts';

const needs = (manifest: LinuxUtilityVMManifestSpec = {}) => needsOf(linuxUtilityVMSpec.parse(manifest));

function candidate(name: string, changes: Partial<Candidate> = {}): Candidate {
  return {
    host: makeHost(name),
    node: makeNode(name),
    connected: true,
    promised: { memoryInMB: 0, virtualMachines: 0 },
    ...changes,
  };
}

const refusals: readonly [string, Partial<Candidate>, LinuxUtilityVMManifestSpec, string][] = [
  ['a host without an agent', { connected: false }, {}, 'no connected agent'],
  ['a host without its Node', { node: undefined }, {}, 'no Node object'],
  ['an unschedulable host', { host: makeHost('a', {}, { unschedulable: true }) }, {}, 'host unschedulable'],
  ['a cordoned node', { node: makeNode('a', { spec: { unschedulable: true } }) }, {}, 'node cordoned'],
  [
    'a taint',
    { node: makeNode('a', { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } }) },
    {},
    'untolerated taint gpu:NoSchedule',
  ],
  [
    'a node that is out of service',
    { node: makeNode('a', { spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] } }) },
    {},
    'untolerated taint node.kubernetes.io/out-of-service:NoExecute',
  ],
  [
    'other labels',
    { node: makeNode('a', { labels: { rack: '2' } }) },
    { nodeSelector: { rack: '1' } },
    'nodeSelector not matched',
  ],
  [
    'an old build',
    { host: makeHost('a', { osBuild: 17_763 }) },
    { boot: { kernelDirect: true } },
    'Windows build below 18286 (boot.kernelDirect)',
  ],
  ['no SNP', {}, { confidential: { securityPolicy: 'eA==' } }, 'no SNP isolation'],
  [
    'a full host',
    { host: makeHost('a', {}, { maxVirtualMachines: 3 }), promised: { memoryInMB: 0, virtualMachines: 3 } },
    {},
    'too many virtual machines',
  ],
  ['too little memory', { promised: { memoryInMB: 65_000, virtualMachines: 9 } }, {}, 'insufficient memory'],
  [
    'memory that is reserved',
    { host: makeHost('a', {}, { reservedMemoryInMB: 64_512 }), promised: { memoryInMB: 1, virtualMachines: 1 } },
    {},
    'insufficient memory',
  ],
  [
    'a taint that was tolerated for a while',
    { outlasted: () => 'toleration of gpu:NoExecute expired' },
    {},
    'toleration of gpu:NoExecute expired',
  ],
];

describe('placement', () => {
  it.each(refusals)('does not choose %s', (_name, changes, manifest, reason) => {
    expect(place(needs(manifest), [candidate('a', changes)])).toMatchObject({
      placed: false,
      reason: 'NoHostFits',
      message: `0/1 hosts fit: 1 ${reason}; for example a (${reason})`,
    });
  });

  it('tolerates the taints that a kubelet sets on its Node, and those that the manifest tolerates', () => {
    const taints = [
      { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' },
      { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
      { key: 'soft', effect: 'PreferNoSchedule' },
    ];
    const tainted = candidate('a', { node: makeNode('a', { spec: { taints } }) });
    expect(place(needs(), [tainted]).placed).toBe(false);
    expect(place(needs({ tolerations: [{ key: 'gpu', value: 'yes' }] }), [tainted]).placed).toBe(true);
    expect(place(needs({ tolerations: [{ key: 'gpu', value: 'no' }] }), [tainted]).placed).toBe(false);
    expect(place(needs({ tolerations: [{ operator: 'Exists' }] }), [tainted]).placed).toBe(true);
  });

  it('treats a host as capable of SNP when a label of its Node says so', () => {
    const declared = candidate('a', { node: makeNode('a', { labels: { 'lcow.dev/isolation-snp': 'true' } }) });
    expect(place(needs({ confidential: { securityPolicy: 'eA==' } }), [declared]).placed).toBe(true);
  });

  it('follows a preference, whatever room others have, and refuses no host because of it', () => {
    const busy = candidate('a', { promised: { memoryInMB: 30_000, virtualMachines: 9 } });
    const counts: Readonly<Record<string, number>> = { b: 2, c: 1 };
    const on = (...candidates: readonly Candidate[]) =>
      place(needs(), candidates, ({ nodeName }) => [counts[nodeName] ?? 0]);
    expect(on(busy, candidate('b'), candidate('c'))).toEqual({ placed: true, nodeName: 'a' });
    expect(on(candidate('b'), candidate('c'))).toEqual({ placed: true, nodeName: 'c' });
    expect(on(candidate('b'))).toEqual({ placed: true, nodeName: 'b' });
  });

  it('chooses the host with the smallest promised share, then by name', () => {
    const small = candidate('small', {
      host: makeHost('small', { memoryInMB: 8_192 }),
      promised: { memoryInMB: 2_048, virtualMachines: 1 },
    });
    const large = candidate('large', { promised: { memoryInMB: 4_096, virtualMachines: 9 } });
    expect(place(needs(), [small, large])).toEqual({ placed: true, nodeName: 'large' });
    expect(place(needs(), [candidate('b'), candidate('a'), candidate('c')])).toMatchObject({ nodeName: 'a' });
  });

  it.each(refusals)('does not pin a VM to %s', (_name, changes, manifest, reason) => {
    const placement = place(needs({ ...manifest, nodeName: 'a' }), [candidate('b'), candidate('a', changes)]);
    expect(placement).toMatchObject({ placed: false, message: expect.stringMatching(/^spec.nodeName is a[:,] /) });
    if (placement.placed) return;
    const reasons: Record<string, string> = {
      'no connected agent': 'HostNotReady',
      'too many virtual machines': 'NoRoom',
      'insufficient memory': 'NoRoom',
    };
    expect(placement.reason).toBe(reasons[reason] ?? 'NoHostFits');
    if (placement.reason !== 'HostNotReady') expect(placement.message).toBe(`spec.nodeName is a: ${reason}`);
  });

  it('limits a pinned VM to its host, once the host has an agent', () => {
    expect(place(needs({ nodeName: 'b' }), [candidate('a'), candidate('b')])).toEqual({ placed: true, nodeName: 'b' });
    expect(place(needs({ nodeName: 'c' }), [candidate('a')])).toMatchObject({
      reason: 'HostNotReady',
      kinds: ['NotReported'],
    });
  });

  it('reports that a VM is larger than every host, and does not count it as waiting for room', () => {
    const giant = { memory: { sizeInMB: 2 ** 40 } };
    expect(place(needs(giant), [candidate('a'), candidate('b', { connected: false })])).toMatchObject({
      reason: 'NoHostFits',
      kinds: ['Memory', 'NotConnected', 'TooLarge'],
      message: expect.stringMatching(/^no host could ever hold it: it needs 1099511627776 MB, and at most 65536 MB/),
    });
    expect(place(needs({ ...giant, nodeName: 'a' }), [candidate('a')])).toMatchObject({
      reason: 'NoHostFits',
      message: expect.stringContaining('no host could ever hold it'),
    });
  });

  it.each([
    ['33554432Ki', 2 ** 53, 32_768],
    ['33554431Ki', 2 ** 53, 32_767],
    ['1.5Gi', 2 ** 53, 1_536],
    ['100T', 32_768, 32_768],
    ['an invalid quantity', 32_768, 32_768],
    [undefined, 32_768, 32_768],
  ])('promises, of a Node with %s whose agent claims %d MB, %d MB', (memory, memoryInMB, offered) => {
    const node = makeNode('a', { status: { capacity: { memory } } });
    const host = makeHost('a', { memoryInMB });
    const fits = (sizeInMB: number) => place(needs({ memory: { sizeInMB } }), [candidate('a', { node, host })]).placed;
    expect([fits(offered), fits(offered + 1)]).toEqual([true, false]);
  });

  it('does not prefer a host whose agent claims the most memory', () => {
    const capacity = { memory: '67108864Ki' };
    const boasts = candidate('boasts', {
      host: makeHost('boasts', { memoryInMB: 2 ** 53 }),
      node: makeNode('boasts', { status: { capacity } }),
      promised: { memoryInMB: 2_048, virtualMachines: 1 },
    });
    const honest = candidate('honest', { promised: { memoryInMB: 1_024, virtualMachines: 1 } });
    expect(place(needs(), [boasts, honest])).toMatchObject({ nodeName: 'honest' });
  });

  it('has the same key for equal needs, however they are written, and different keys for different needs', () => {
    const one = needs({ nodeSelector: { rack: '1', zone: 'a' }, boot: { kernelDirect: true } });
    expect(needsKey(needs({ boot: { kernelDirect: true }, nodeSelector: { zone: 'a', rack: '1' } }))).toBe(
      needsKey(one),
    );
    const others = [
      needs(),
      needs({ nodeName: 'a' }),
      needs({ memory: { sizeInMB: 2 } }),
      needs({ tolerations: [{ key: 'gpu' }] }),
      needs({ confidential: { securityPolicy: 'eA==' } }),
      needsOf(linuxUtilityVMSpec.parse({}), ['a']),
    ];
    expect(new Set([one, ...others].map(needsKey)).size).toBe(others.length + 1);
    expect(place(needsOf(linuxUtilityVMSpec.parse({}), ['a']), [candidate('a')])).toMatchObject({ kinds: ['Lacking'] });
  });

  it.each<[string, Partial<Candidate>, LinuxUtilityVMManifestSpec, string | undefined]>([
    ['that is full', { promised: { memoryInMB: 65_536, virtualMachines: 64 } }, {}, undefined],
    ['that is cordoned', { node: makeNode('a', { spec: { unschedulable: true } }) }, {}, undefined],
    ['that is not the one in spec.nodeName', {}, { nodeName: 'b' }, 'spec.nodeName is b'],
    ['without SNP', {}, { confidential: { securityPolicy: 'eA==' } }, 'no SNP isolation'],
    ['with other labels', {}, { nodeSelector: { rack: '1' } }, 'nodeSelector not matched'],
    [
      'with a taint',
      { node: makeNode('a', { spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } }) },
      {},
      'untolerated taint gpu:NoSchedule',
    ],
  ])('returns a VM to a host %s only if no tenant is harmed', (_name, changes, manifest, refusal) => {
    expect(refusalToTakeBack(needs(manifest), candidate('a', changes))).toBe(refusal);
  });

  it('explains itself by counts and at most three examples', () => {
    const many = [
      ...['d', 'c', 'b', 'a'].map((name) => candidate(name, { connected: false })),
      candidate('e', { node: makeNode('e', { spec: { unschedulable: true } }) }),
    ];
    expect(place(needs(), many)).toMatchObject({
      message:
        '0/5 hosts fit: 4 no connected agent, 1 node cordoned; for example a (no connected agent), b (no connected agent), c (no connected agent)',
    });
    expect(place(needs(), [])).toMatchObject({ message: 'no host: no agent has reported yet' });
  });

  it('does not depend on the order of hosts, and never promises more than exists', () => {
    const host = fc.record({
      memoryInMB: fc.integer({ min: 0, max: 8_192 }),
      promised: fc.integer({ min: 0, max: 8_192 }),
      connected: fc.boolean(),
      reserved: fc.integer({ min: 0, max: 2_048 }),
    });
    fc.assert(
      fc.property(
        fc.array(host, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4_096 }),
        fc.nat(),
        (hosts, sizeInMB, turn) => {
          const candidates = hosts.map(({ memoryInMB, promised, connected, reserved }, index) =>
            candidate(`host-${index}`, {
              host: makeHost(`host-${index}`, { memoryInMB }, { reservedMemoryInMB: reserved }),
              promised: { memoryInMB: promised, virtualMachines: 0 },
              connected,
            }),
          );
          const split = candidates.length === 0 ? 0 : turn % candidates.length;
          const turned = [...candidates.slice(split), ...candidates.slice(0, split)];
          const placement = place(needs({ memory: { sizeInMB } }), candidates);
          expect(place(needs({ memory: { sizeInMB } }), turned)).toEqual(placement);
          const fits = candidates.filter(
            ({ connected, host: { status, spec: hostSpec }, promised }) =>
              connected &&
              promised.memoryInMB + sizeInMB <= (status.memoryInMB ?? 0) - (hostSpec.reservedMemoryInMB ?? 0),
          );
          expect(placement.placed).toBe(fits.length > 0);
          if (placement.placed)
            expect(fits.map(({ host: { metadata } }) => metadata.name)).toContain(placement.nodeName);
        },
      ),
    );
  });
});

describe('a quantity', () => {
  it.each([
    ['0', 0],
    ['67108404Ki', 67_108_404 * 1_024],
    ['64Gi', 64 * 2 ** 30],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['.5Mi', 2 ** 19],
    ['5.', 5],
    ['128974848', 128_974_848],
    ['129e6', 129e6],
    ['129E6', 129e6],
    ['1E', 1e18],
    ['1Ei', 2 ** 60],
    ['129M', 129e6],
    ['3k', 3_000],
    ['128974848000m', 128_974_848],
    ['+2', 2],
    ['-2', undefined],
    ['', undefined],
    ['Ki', undefined],
    ['1 Gi', undefined],
    ['1K', undefined],
    ['0x10', undefined],
    ['1e', undefined],
    ['Infinity', undefined],
  ])('%j', (text, value) => {
    const parsed = parseQuantity(text);
    if (value === undefined) expect(parsed).toBeUndefined();
    else expect(parsed).toBeCloseTo(value, 3);
  });
});
