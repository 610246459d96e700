import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setLabel } from '../../../../crds/linux-utility-vm.ts';
import { linuxUtilityVMSetSpec } from '../../../../crds/linux-utility-vm-set.ts';
import { template as schema } from '../../../../crds/set/template.ts';
import { machineManifest } from '../../../../operator/controller/sets/machine-manifest.ts';
import {
  parseRevision,
  type Revision,
  revisionName,
  revisionOf,
  surplusRevisions,
} from '../../../../operator/controller/sets/revisions.ts';
import { changeBetween, changeOfMachine, hasLiveFieldsOf, livePartOf } from '../../../../sets/changes.ts';
import { expanded, templateProblem } from '../../../../sets/expansion.ts';
import { machineName, ordinalOf, wantedOrdinals } from '../../../../sets/ordinals.ts';
import { makeMachine, makeSet } from '../../../support/operator/objects.ts';

const template = (spec: object, metadata: object = {}) => schema.parse({ metadata, spec });
const wanted = (given: object) => {
  const found = wantedOrdinals(linuxUtilityVMSetSpec.parse({ template: { spec: {} }, ...given }));
  return found.ok ? found.ordinals : found.message;
};

describe('ordinals', () => {
  it('are the lowest that are not reserved', () => {
    expect(wanted({ replicas: 3 })).toEqual([0, 1, 2]);
    expect(wanted({ replicas: 4, ordinals: { start: 5, reserved: [6, '8-9'] } })).toEqual([5, 7, 10, 11]);
    expect(wanted({ replicas: 2, ordinals: { reserved: ['0-3', '2-7', 1] } })).toEqual([8, 9]);
    expect(wanted({ replicas: 0 })).toEqual([]);
  });

  it('cannot run backwards or run out', () => {
    expect(wanted({ ordinals: { reserved: ['9-7'] } })).toBe('spec.ordinals.reserved: 9-7 runs backwards: write 7-9');
    expect(wanted({ ordinals: { reserved: ['0-99999'] } })).toContain('too few ordinals');
  });

  it('are as many as asked for, ascending, and none is reserved', () => {
    const range = fc.tuple(fc.nat(60), fc.nat(9)).map(([first, length]) => `${first}-${first + length}`);
    const reserved = fc.array(fc.oneof(fc.nat(60), range), { maxLength: 8 });
    fc.assert(
      fc.property(fc.nat(30), fc.nat(20), reserved, (replicas, start, given) => {
        const found = wanted({ replicas, ordinals: { start, reserved: given } });
        const isReserved = (ordinal: number) =>
          given.some((each) => {
            const [first = '', last = first] = String(each).split('-');
            return ordinal >= Number(first) && ordinal <= Number(last);
          });
        const all = Array.from({ length: 400 }, (_, index) => start + index).filter((each) => !isReserved(each));
        expect(found).toEqual(all.slice(0, replicas));
      }),
    );
  });

  it('are read from the names of VMs', () => {
    expect(['x-0', 'x-17', 'x-017', 'x-', 'x-1-2', 'y-1', 'x-999999'].map((name) => ordinalOf('x', name))).toEqual([
      ...[0, 17],
      ...[undefined, undefined, undefined, undefined, undefined],
    ]);
    expect(ordinalOf('x-1', machineName('x-1', 2))).toBe(2);
  });
});

describe('variables', () => {
  const disks = [{ name: 'data', path: 'C:\\vms\\$(name)\\$(ordinal).vhdx' }];

  it('stand for them in the environment of a process, too, and not in its command', () => {
    const env = [{ name: 'ME', value: '$(name)/$(ordinal)/$$(name)' }];
    const process = { command: ['echo', '$(name)'], env };
    const { spec } = expanded(template({ process }), { name: 'x-7', ordinal: 7 });
    expect(spec.process).toMatchObject({ command: ['echo', '$(name)'], env: [{ name: 'ME', value: 'x-7/7/$(name)' }] });
    const unknown = template({ process: { command: ['a'], env: [{ name: 'A', value: '$(host)' }] } });
    expect(templateProblem(unknown, 'x', [0])).toContain('$(host)');
  });

  it('stand for name and ordinal, and can be written out', () => {
    const { spec } = expanded(template({ console: { pipe: '\\\\.\\pipe\\$$(name)-$(name)' }, storage: { disks } }), {
      name: 'x-7',
      ordinal: 7,
    });
    expect(spec.console?.pipe).toBe('\\\\.\\pipe\\$(name)-x-7');
    expect(spec.storage?.disks?.[0]?.path).toBe('C:\\vms\\x-7\\7.vhdx');
  });

  it('stand in the folders of shares, which VMs may have in common', () => {
    const shares = [
      { name: 'own', path: 'C:\\vms\\$(name)', guestPath: '/mnt/own' },
      { name: 'all', path: 'C:\\all', guestPath: '/mnt/all' },
    ];
    const given = template({ fileShares: { shares } });
    const { spec } = expanded(given, { name: 'x-7', ordinal: 7 });
    expect(spec.fileShares?.shares?.map(({ path }) => path)).toEqual(['C:\\vms\\x-7', 'C:\\all']);
    expect(templateProblem(given, 'x', [0, 1])).toBeUndefined();
  });

  it('that are unknown are refused', () => {
    const given = template({ console: { pipe: '\\\\.\\pipe\\$(host)' } });
    expect(templateProblem(given, 'x', [0])).toContain('unknown variable $(host)');
  });

  it('are needed where VMs would share a pipe or a writable disk, in any spelling', () => {
    const piped = template({ console: { pipe: '\\\\.\\pipe\\one' } });
    expect(templateProblem(piped, 'x', [0, 1])).toContain('x-0 and x-1 would share the console pipe');
    expect(templateProblem(piped, 'x', [0])).toBeUndefined();
    const shared = [
      { name: 'a', path: 'C:\\d\\1$(ordinal).vhdx' },
      { name: 'b', path: 'c:/D/$(ordinal)1.vhdx' },
    ];
    expect(templateProblem(template({ storage: { disks: shared } }), 'x', [1, 11])).toBeUndefined();
    expect(templateProblem(template({ storage: { disks: shared } }), 'x', [1, 2, 21, 12])).toContain('share');
    const readOnly = [{ name: 'a', path: 'C:\\d\\base.vhdx', readOnly: true }];
    expect(templateProblem(template({ storage: { disks: readOnly } }), 'x', [0, 1])).toBeUndefined();
    expect(templateProblem(template({ storage: { disks } }), 'x', [0, 1, 2])).toBeUndefined();
  });
});

describe('a change of the template', () => {
  const change = (before: object, after: object, method: 'LiveOrRestart' | 'LiveOnly' | 'LiveOrRecreate') => {
    const { fields, step } = changeBetween(template(before), template(after), method);
    return [...fields.map(({ path }) => path), step];
  };

  it.each([
    ['memory', { memory: { sizeInMB: 1 } }, ['memory.sizeInMB', 'Live']],
    ['disks', { storage: { disks: [{ name: 'a', path: 'C:\\a.vhdx' }] } }, ['storage.disks', 'Live']],
    [
      'shares',
      { fileShares: { shares: [{ name: 'a', path: 'C:\\a', guestPath: '/mnt/a' }] } },
      ['fileShares.shares', 'Live'],
    ],
    ['disableWritable', { fileShares: { disableWritable: true } }, ['fileShares.disableWritable', 'Restart']],
    ['limits', { processor: { limit: 10, weight: 5 } }, ['processor.limit', 'processor.weight', 'Live']],
    ['processors', { processor: { count: 4 } }, ['processor.count', 'Restart']],
    ['placement', { nodeSelector: { rack: '1' } }, ['nodeSelector', 'Live']],
    ['run strategy', { runStrategy: 'Halted' }, ['runStrategy', 'Switch']],
    ['nothing', { memory: { sizeInMB: 1024 } }, ['Live']],
  ])('of %s', (_, after, expected) => {
    expect(change({}, after, 'LiveOrRestart')).toEqual(expected);
  });

  it('is made by the method of the set', () => {
    expect(change({}, { processor: { count: 4 } }, 'LiveOnly')).toEqual(['processor.count', 'Refused']);
    expect(change({}, { processor: { count: 4 } }, 'LiveOrRecreate')).toEqual(['processor.count', 'Recreate']);
    expect(change({}, { nodeSelector: { rack: '1' } }, 'LiveOrRecreate')).toEqual(['nodeSelector', 'Recreate']);
  });

  it('of memory needs a restart where a host cannot change it', () => {
    const policy = { securityPolicyFrom: { configMapKeyRef: { name: 'p', key: 'k' } } };
    const isolated = { confidential: policy };
    expect(change(isolated, { ...isolated, memory: { sizeInMB: 2 } }, 'LiveOnly')).toContain('Refused');
    const numa = { numa: { maxProcessorsPerNode: 2 }, memory: { sizeInMB: 4, allowOvercommit: false } };
    expect(change(numa, { ...numa, memory: { ...numa.memory, sizeInMB: 2 } }, 'LiveOnly')).toContain('Refused');
  });

  it('of halted VMs waits for their next start', () => {
    const halted = { runStrategy: 'Halted' };
    expect(change(halted, { ...halted, processor: { count: 4 } }, 'LiveOnly')).toEqual(['processor.count', 'Live']);
  });

  it('by the restart annotation is a restart, and its removal is nothing', () => {
    const restarted = template({}, { annotations: { 'lcow.dev/restartedAt': 'now' } });
    expect(changeBetween(template({}), restarted, 'LiveOrRestart').step).toBe('Restart');
    expect(changeBetween(restarted, template({}), 'LiveOrRestart').step).toBe('Live');
  });

  it('of a VM without a revision counts only what the template names', () => {
    const { spec } = makeMachine({ spec: { memory: { sizeInMB: 1024 }, guest: { logLevel: 'debug' } } });
    if (!spec.ok) throw new Error('unreadable');
    expect(changeOfMachine(spec.value, template({}), 'LiveOrRestart')).toMatchObject({ fields: [], step: 'Live' });
    expect(changeOfMachine(spec.value, template({ processor: { count: 2 } }), 'LiveOrRestart').step).toBe('Restart');
  });

  it('of both kinds has a part that goes first', () => {
    const [before, after] = [template({}), template({ memory: { sizeInMB: 9 }, processor: { count: 4 } })];
    const both = changeBetween(before, after, 'LiveOrRestart');
    expect(both).toMatchObject({ step: 'Restart', hasLivePart: true });
    const part = livePartOf(before, after, both);
    expect(part.spec).toEqual({ ...before.spec, memory: { sizeInMB: 9 } });
    const { spec } = makeMachine({ spec: { memory: { sizeInMB: 9 } } });
    expect(spec.ok && hasLiveFieldsOf(spec.value, after, both)).toBe(true);
    expect(hasLiveFieldsOf({ ...before.spec, updateStrategy: 'OnRestart' }, after, both)).toBe(false);
  });
});

describe('revisions', () => {
  const revision = (name: string, number: number, given = template({})): Revision => ({
    metadata: { name, uid: name, resourceVersion: '1', generation: 0 },
    number,
    template: given,
  });

  it('an operator upgrade or a changed default rolls everything: templates are compared by meaning', () => {
    // As an earlier operator stored it, whose schema did not have these defaults.
    const metadata = { name: 'x-a', uid: 'u', resourceVersion: '1' };
    const stored = parseRevision({ metadata, revision: 1, data: { template: { spec: {} } } });
    if (stored === undefined) throw new Error('unreadable');
    expect(revisionOf([stored], template({ memory: { sizeInMB: 1024 } }))?.metadata.name).toBe('x-a');
    expect(revisionOf([stored], template({ memory: { sizeInMB: 1025 } }))).toBeUndefined();
  });

  it('have names that fit into a label, differ, and stay the same', () => {
    const set = 's'.repeat(57);
    const name = revisionName(set, template({}));
    expect(name).toMatch(/^s{57}-[b-z2-9]{5}$/);
    expect(revisionName(set, template({}))).toBe(name);
    expect(revisionName(set, template({}), 1)).not.toBe(name);
    expect(revisionName(set, template({ memory: { sizeInMB: 2 } }))).not.toBe(name);
  });

  it('are deleted beyond the limit, the oldest first, unless they are in use', () => {
    const all = [revision('c', 3), revision('a', 1), revision('d', 4), revision('b', 2)];
    const names = (limit: number) =>
      surplusRevisions(all, new Set(['a', 'd']), limit).map((each) => each.metadata.name);
    expect([names(0), names(1), names(9)]).toEqual([['b', 'c'], ['b'], []]);
  });
});

describe('the manifest of a VM', () => {
  const set = makeSet('x');
  const parts = { set, ordinal: 2, revision: 'x-abcde', restartedAt: undefined };

  it('names the set, the ordinal and the revision, and can only be made where nothing is', () => {
    const made = machineManifest({ ...parts, template: template({}, { labels: { app: 'a' } }), object: undefined });
    expect(made.metadata).toMatchObject({
      name: 'x-2',
      resourceVersion: '1',
      labels: { app: 'a', [setLabel]: 'x', 'lcow.dev/ordinal': '2', 'lcow.dev/revision': 'x-abcde' },
      ownerReferences: [{ kind: 'LinuxUtilityVMSet', name: 'x', controller: true }],
    });
  });

  it('keeps the restart that the VM had, and a new VM needs none', () => {
    const annotations = { 'lcow.dev/restartedAt': 'earlier' };
    const given = template({}, { annotations: { 'lcow.dev/restartedAt': 'template', note: 'n' } });
    const object = makeMachine({ metadata: { name: 'x-2', annotations } });
    const manifest = (more: object) => machineManifest({ ...parts, template: given, object, ...more }).metadata;
    expect(manifest({}).annotations).toEqual({ ...annotations, note: 'n' });
    expect(manifest({ restartedAt: 'new' }).annotations).toEqual({ 'lcow.dev/restartedAt': 'new', note: 'n' });
    expect(manifest({ object: undefined }).annotations).toEqual({ note: 'n' });
    expect(manifest({})).toMatchObject({ uid: object.metadata.uid, resourceVersion: '1' });
  });
});
