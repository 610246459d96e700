// Changes of a running VM that the golden data does not contain: freed space, and changes that fail half way.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallOverdue } from '../../../agent/bounds/bounded.ts';
import { applyChange, type ChangeTarget, modifyDocument } from '../../../agent/modification/document.ts';
import { adapterChange } from '../../../agent/modification/network-adapters.ts';
import { Plan9Shares } from '../../../agent/modification/plan9.ts';
import { type Region, RegionPool } from '../../../agent/modification/region-pool.ts';
import { scsiAttach } from '../../../agent/modification/scsi.ts';
import { ScsiDisks } from '../../../agent/modification/scsi-disks.ts';
import { SingleImages, vpmemAdd } from '../../../agent/modification/vpmem.ts';

const mebibyte = 2 ** 20;
const poolBytes = 4096 * mebibyte;
const bytesOf = ({ sizeClass }: Region) => mebibyte * 4 ** sizeClass;

function nothingToUndo(error: unknown): void {
  throw error;
}

/** Records requests to host and guest. A refused request fails with its own name as the error. */
function recordingTarget(refused: () => string | undefined = () => undefined) {
  const asked: string[] = [];
  const ask = async (what: string) => {
    asked.push(what);
    if (refused() !== undefined && what.includes(refused() ?? '')) throw new Error(`${refused()} refused`);
  };
  const target: ChangeTarget = {
    host: (document) => ask(document),
    guest: ({ requestType, resourceType }) => ask(`guest ${requestType} ${resourceType}`),
  };
  return { asked, target };
}

/** How much is allocated, and which region is freed after it. */
const poolSteps = fc.array(
  fc.record({ bytes: fc.integer({ min: 1, max: 300 * mebibyte }), released: fc.option(fc.nat()) }),
  { maxLength: 40 },
);

type PoolStep = { readonly bytes: number; readonly released: number | null };

function expectApart(region: Region, held: readonly Region[]): void {
  const end = region.offset + bytesOf(region);
  expect(region.offset % bytesOf(region)).toBe(0);
  expect(held.filter((each) => region.offset < each.offset + bytesOf(each) && each.offset < end)).toEqual([]);
}

/** Allocates a region and frees another one. */
function takeStep(pool: RegionPool, held: Region[], { bytes, released }: PoolStep): void {
  const region = pool.allocate(bytes);
  if (region !== undefined) {
    expect(bytesOf(region)).toBeGreaterThanOrEqual(bytes);
    expectApart(region, held);
    held.push(region);
  }
  const returned = released === null ? [] : held.splice(released % 8, 1);
  for (const each of returned) pool.release(each);
}

function expectSoundPool(steps: readonly PoolStep[]): void {
  const pool = new RegionPool();
  const held: Region[] = [];
  for (const step of steps) takeStep(pool, held, step);
  for (const each of held) pool.release(each);
  expect(pool.allocate(poolBytes)).toEqual({ offset: 0, sizeClass: 6 });
}

describe('the pool of a packed vPMem device', () => {
  it('never allocates the same bytes twice, and is whole again when everything is freed', () => {
    fc.assert(fc.property(poolSteps, expectSoundPool), { numRuns: 100 });
  });

  it('allocates no empty block, and none larger than the pool', () => {
    expect(new RegionPool().allocate(0)).toBeUndefined();
    expect(new RegionPool().allocate(poolBytes + 1)).toBeUndefined();
  });
});

describe('images on vPMem devices', () => {
  it('free their device when they are refused, and when their last user is gone', async () => {
    const images = new SingleImages({ maximumCount: 1, maximumSizeBytes: poolBytes }, 'vm', nothingToUndo);
    const image = (path: string) => ({ path, sizeInBytes: 1 });
    const refusing = recordingTarget(() => 'HostPath');
    await expect(images.add(image('a'), refusing.target)).rejects.toThrow('adding VM resources');

    const { asked, target } = recordingTarget();
    await images.add(image('b'), target);
    await images.add(image('b'), target);
    await expect(images.add(image('c'), target)).rejects.toThrow('no available location');
    await images.remove('b', target);
    expect(asked).toHaveLength(2);
    await images.remove('b', target);
    expect(await images.add(image('c'), target)).toBe('/run/layers/p0');
  });
});

describe('a change with two halves', () => {
  it('undoes nothing while the guest can still be adding it', async () => {
    const { asked, target } = recordingTarget();
    const overdue = new CallOverdue('ModifySettings', 1000, Promise.resolve());
    const guest = { resourceType: 'VPMemDevice', requestType: 'Add', settings: {} } as const;
    const stuck = { ...target, guest: () => Promise.reject(overdue) };
    await expect(applyChange({ host: vpmemAdd(0, 'a'), guest }, stuck, nothingToUndo)).rejects.toBe(overdue);
    expect(asked).toHaveLength(1);
  });

  it('reports what could not be undone, and rejects with the first failure', async () => {
    let calls = 0;
    const told: unknown[] = [];
    const host = async () => {
      calls += 1;
      if (calls === 2) throw new Error('gone');
    };
    const guest = () => Promise.reject(new Error('no'));
    const asked = { resourceType: 'VPMemDevice', requestType: 'Add', settings: {} } as const;
    const made = applyChange({ host: vpmemAdd(0, 'a'), guest: asked }, { host, guest }, (error) => told.push(error));
    await expect(made).rejects.toThrow('guest modify: no');
    expect(told).toEqual([new Error('gone')]);
  });
});

describe('disks with several users', () => {
  const disk = (path: string) => ({ type: 'VirtualDisk', path, readOnly: true }) as const;

  it('are detached only with their last user, and their places and paths are used again', async () => {
    const { asked, target } = recordingTarget();
    const disks = new ScsiDisks(1, [{ controller: 0, lun: 0 }], nothingToUndo);
    const first = await disks.add(disk('a'), { readOnly: true, options: ['x', 'y'] }, target);
    const second = await disks.add(disk('a'), { readOnly: true, options: ['y', 'x'] }, target);
    const other = await disks.add(disk('b'), { readOnly: true }, target);
    expect([first, second, other].map(({ guestPath, slot }) => [slot.lun, guestPath])).toEqual([
      [1, '/run/mounts/scsi/m0'],
      [1, '/run/mounts/scsi/m0'],
      [2, '/run/mounts/scsi/m1'],
    ]);
    await disks.release(first, target);
    expect(asked).toHaveLength(4);
    await disks.release(second, target);
    expect(asked).toHaveLength(7);
    const next = await disks.add(disk('c'), { readOnly: true }, target);
    expect(next).toEqual({ slot: { controller: 0, lun: 1 }, guestPath: '/run/mounts/scsi/m0' });
  });

  it('can be released again when the host refused the first time', async () => {
    let refused: string | undefined;
    const { asked, target } = recordingTarget(() => refused);
    const disks = new ScsiDisks(1, [], nothingToUndo);
    const use = await disks.add(disk('a'), { readOnly: true }, target);
    refused = '"Remove"';
    await expect(disks.release(use, target)).rejects.toThrow('refused');
    refused = undefined;
    await disks.release(use, target);
    expect(asked.filter((what) => what === 'guest Remove MappedVirtualDisk')).toHaveLength(1);
    await expect(disks.release(use, target)).rejects.toThrow('not attached');
  });

  it('are not mounted over each other', async () => {
    const { target } = recordingTarget();
    const disks = new ScsiDisks(1, [], nothingToUndo);
    await disks.add(disk('a'), { readOnly: true, guestPath: '/m' }, target);
    await expect(disks.add(disk('b'), { readOnly: true, guestPath: '/m' }, target)).rejects.toThrow('/m');
  });
});

describe('shared folders', () => {
  it('never get the name of a share that could not be added', async () => {
    const shares = new Plan9Shares({ build: 20348, refusesWritable: false }, nothingToUndo);
    const wanted = { hostPath: 'C:\\a', guestPath: '/run/a', readOnly: true };
    await expect(shares.add(wanted, recordingTarget(() => 'Plan9').target)).rejects.toThrow('refused');
    expect((await shares.add(wanted, recordingTarget().target)).name).toBe('1');
  });
});

describe('settings without a value', () => {
  it('are left out, except for the settings of an adapter that can be empty', () => {
    const slot = { controller: 0, lun: 0, type: 'PassThru', path: '', readOnly: false } as const;
    expect(modifyDocument(scsiAttach(slot))).toContain('"Settings":{"Type":"PassThru"}');
    const iov = { offloadWeight: 0, queuePairsRequested: undefined, interruptModeration: '' };
    const adapter = adapterChange('Update', 'n', { endpointId: '', macAddress: '', iov });
    expect(modifyDocument(adapter)).toContain(
      '"Settings":{"IovSettings":{"OffloadWeight":0,"InterruptModeration":""}}',
    );
  });
});
