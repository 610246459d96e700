import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LinuxUtilityVMManifestSpec, linuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import { type Candidate, place } from '../../operator/controller/placement.ts';
import { makeHost, makeNode } from './objects.ts';

const spec = (manifest: LinuxUtilityVMManifestSpec = {}) => linuxUtilityVMSpec.parse(manifest);

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
  ['memory that is reserved', { host: makeHost('a', {}, { reservedMemoryInMB: 65_000 }) }, {}, 'insufficient memory'],
];

describe('placement', () => {
  it.each(refusals)('does not choose %s', (_name, changes, manifest, reason) => {
    expect(place(spec(manifest), [candidate('a', changes)])).toEqual({
      placed: false,
      reason: 'NoHostFits',
      message: `0/1 hosts fit: 1 ${reason}; for example a (${reason})`,
    });
  });

  it('tolerates what a kubelet puts on its Node, and what the manifest tolerates', () => {
    const taints = [
      { key: 'node.kubernetes.io/not-ready', effect: 'NoExecute' },
      { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
      { key: 'soft', effect: 'PreferNoSchedule' },
    ];
    const tainted = candidate('a', { node: makeNode('a', { spec: { taints } }) });
    expect(place(spec(), [tainted]).placed).toBe(false);
    expect(place(spec({ tolerations: [{ key: 'gpu', value: 'yes' }] }), [tainted]).placed).toBe(true);
    expect(place(spec({ tolerations: [{ key: 'gpu', value: 'no' }] }), [tainted]).placed).toBe(false);
    expect(place(spec({ tolerations: [{ operator: 'Exists' }] }), [tainted]).placed).toBe(true);
  });

  it('takes a host for SNP that a label of its Node declares', () => {
    const declared = candidate('a', { node: makeNode('a', { labels: { 'lcow.dev/isolation-snp': 'true' } }) });
    expect(place(spec({ confidential: { securityPolicy: 'eA==' } }), [declared]).placed).toBe(true);
  });

  it('chooses the smallest share promised, ties by name', () => {
    const small = candidate('small', {
      host: makeHost('small', { memoryInMB: 8_192 }),
      promised: { memoryInMB: 2_048, virtualMachines: 1 },
    });
    const large = candidate('large', { promised: { memoryInMB: 4_096, virtualMachines: 9 } });
    expect(place(spec(), [small, large])).toEqual({ placed: true, nodeName: 'large' });
    expect(place(spec(), [candidate('b'), candidate('a'), candidate('c')])).toMatchObject({ nodeName: 'a' });
  });

  it('leaves a pinned VM to its host, cordoned or not, once that has an agent', () => {
    const cordoned = candidate('a', { node: makeNode('a', { spec: { unschedulable: true } }) });
    expect(place(spec({ nodeName: 'a' }), [cordoned])).toEqual({ placed: true, nodeName: 'a' });
    expect(place(spec({ nodeName: 'a' }), [candidate('a', { connected: false })])).toMatchObject({
      reason: 'HostNotReady',
    });
    expect(place(spec({ nodeName: 'b' }), [cordoned])).toMatchObject({ reason: 'HostNotReady' });
  });

  it('explains by counts and at most three examples', () => {
    const many = [
      ...['d', 'c', 'b', 'a'].map((name) => candidate(name, { connected: false })),
      candidate('e', { node: makeNode('e', { spec: { unschedulable: true } }) }),
    ];
    expect(place(spec(), many)).toMatchObject({
      message:
        '0/5 hosts fit: 4 no connected agent, 1 node cordoned; for example a (no connected agent), b (no connected agent), c (no connected agent)',
    });
    expect(place(spec(), [])).toMatchObject({ message: 'no host: no agent has reported yet' });
  });

  it('does not depend on the order of hosts, and never promises more than there is', () => {
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
          const placement = place(spec({ memory: { sizeInMB } }), candidates);
          expect(place(spec({ memory: { sizeInMB } }), turned)).toEqual(placement);
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
