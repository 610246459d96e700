import { describe, expect, it } from 'vitest';
import type { FileSystem } from '../../../agent/node/file-system.ts';
import type { Process } from '../process.ts';
import { type DiskBed, diskBed } from './bed.ts';
import { SimulatedStorage } from './state-storage.ts';

const seeds = Array.from({ length: 250 }, (_, index) => index + 1);

async function write(files: FileSystem, path: string, text: string, syncs: boolean): Promise<void> {
  const file = await files.open(path, 'w');
  await file.writeFile(text);
  if (syncs) await file.sync();
  await file.close();
}

/**
 * The states of a file after a power failure that follows the body, over many seeds. Undefined means that the file is
 * missing.
 */
async function afterPowerFailure(path: string, body: (files: FileSystem, bed: DiskBed) => Promise<void>) {
  const found = new Set<string | undefined>();
  for (const seed of seeds) {
    const bed = diskBed(seed, { faults: { lossy: true } });
    await bed.use((files) => body(files, bed));
    bed.disk.crashOfHost();
    found.add(bed.disk.read(path)?.toString());
    // The rest stays as it is.
    const before = bed.disk.paths();
    bed.disk.crashOfHost();
    expect(bed.disk.paths()).toEqual(before);
  }
  return found;
}

describe('a power failure', () => {
  it('loses nothing that was synced, including the folders of its path', async () => {
    const found = await afterPowerFailure('/a/b', async (files) => {
      await files.mkdir('/a');
      await write(files, '/a/b', 'text', true);
      for (const folder of ['/a', '/']) await files.syncFolder(folder);
    });
    expect([...found]).toEqual(['text']);
  });

  it('loses no old changes', async () => {
    const found = await afterPowerFailure('/a', async (files, { world }) => {
      await write(files, '/a', 'text', false);
      await world.delay(60_000, 'pause');
    });
    expect([...found]).toEqual(['text']);
  });

  it('can lose a new file whose folder was not synced', async () => {
    const found = await afterPowerFailure('/a', (files) => write(files, '/a', 'text', true));
    expect(found).toEqual(new Set(['text', undefined]));
  });

  it('can leave a file empty, torn or with zeros if it was renamed before it was synced', async () => {
    const found = await afterPowerFailure('/a', async (files) => {
      await write(files, '/a', 'old', true);
      await files.syncFolder('/');
      await write(files, '/a.new', 'new!', false);
      await files.rename('/a.new', '/a');
    });
    const texts = [...found];
    for (const one of ['old', 'new!', '', 'new\0']) expect(texts).toContain(one);
    expect(texts.some((text) => text === 'n' || text === 'ne' || text === 'new')).toBe(true);
    expect(texts).not.toContain(undefined);
  });

  it('leaves the old or the new file whole if it was synced before it was renamed', async () => {
    const found = await afterPowerFailure('/a', async (files) => {
      await write(files, '/a', 'old', true);
      await files.syncFolder('/');
      await write(files, '/a.new', 'new', true);
      await files.rename('/a.new', '/a');
    });
    expect(found).toEqual(new Set(['old', 'new']));
  });

  it('can bring back removed files unchanged', async () => {
    const found = await afterPowerFailure('/a/b', async (files) => {
      await files.mkdir('/a');
      await write(files, '/a/b', 'text', true);
      for (const folder of ['/a', '/']) await files.syncFolder(folder);
      await files.rm('/a');
    });
    expect(found).toEqual(new Set(['text', undefined]));
  });

  it('loses lines only from the end of a file that is appended to', async () => {
    const text = (lines: number) => Array.from({ length: lines }, (_, line) => `line ${line}\n`).join('');
    const found = await afterPowerFailure('/log', async (files) => {
      for (let line = 0; line < 10; line += 1) {
        await files.appendFile('/log', `line ${line}\n`);
        if (line === 4) await (await files.open('/log', 'r')).sync();
        if (line === 4) await files.syncFolder('/');
      }
    });
    for (const each of found) {
      const written = each?.replace(/\0+$/, '') ?? '';
      expect(text(10).startsWith(written)).toBe(true);
      expect(written.length).toBeGreaterThanOrEqual(text(5).length);
    }
    expect(found.size).toBeGreaterThan(5);
  });

  it('loses nothing when that fault is off', async () => {
    const bed = diskBed(1);
    await bed.use((files) => write(files, '/a', 'text', false));
    bed.disk.crashOfHost();
    expect(bed.disk.read('/a')?.toString()).toBe('text');
    expect(bed.injected.size).toBe(0);
  });
});

describe('the death of a process', () => {
  it('keeps what was written, and can end a divided write after its first step', async () => {
    const found = new Set<string | undefined>();
    for (const seed of seeds) {
      const bed = diskBed(seed, { faults: { divided: 1, lossy: true } });
      const process = bed.start();
      const files = bed.disk.fileSystemFor(process);
      const end = bed.world.chance('end').integer(6);
      await bed.run(
        () => files.appendFile('/a', 'text'),
        () => bed.world.events >= end,
      );
      process.die();
      await bed.world.run(Number.POSITIVE_INFINITY);
      found.add(bed.disk.read('/a')?.toString());
    }
    for (const one of [undefined, 't', 'te', 'tex', 'text']) expect(found).toContain(one);
  });
});

describe('the lock of a host', () => {
  it('is held by one process at a time, and passes to the next one when its holder dies or releases it', async () => {
    const { disk, run, start } = diskBed(1);
    const storage = new SimulatedStorage(disk);
    const [one, other] = [start(), start()];
    const lockOf = (process: Process) =>
      run(
        async () =>
          await storage
            .for(process)
            .locks('/state', () => {})[0]?.(),
      );
    expect(await lockOf(one)).toBeDefined();
    expect(await lockOf(other)).toBeUndefined();
    one.die();
    const held = await lockOf(other);
    const third = start();
    expect(await lockOf(third)).toBeUndefined();
    held?.release();
    expect(await lockOf(third)).toBeDefined();
    other.die();
    expect(await lockOf(start())).toBeUndefined();
  });
});

describe('a full disk', () => {
  it('accepts what fits, and more once something is removed', async () => {
    const bed = diskBed(1, { capacity: 4_096 });
    await bed.use(async (files) => {
      await files.appendFile('/a', 'x'.repeat(3_000));
      await expect(files.appendFile('/b', 'y'.repeat(3_000))).rejects.toMatchObject({ code: 'ENOSPC' });
      expect(bed.disk.read('/b')?.length).toBe(4_096 - 3_000 - 2 * 512);
      await expect(files.mkdir('/c')).rejects.toMatchObject({ code: 'ENOSPC' });
      await files.rename('/b', '/a');
      await files.appendFile('/a', 'y'.repeat(3_000));
      await files.rm('/a');
      await files.appendFile('/a', 'z'.repeat(3_584));
      await expect(files.appendFile('/a', 'z')).rejects.toMatchObject({ code: 'ENOSPC' });
      const file = await files.open('/a', 'w');
      await file.writeFile('z'.repeat(3_584));
      await file.close();
    });
  });

  it('is full for a while, by chance, and never when that fault is off', async () => {
    const bed = diskBed(1, { faults: { full: 0.05 } });
    await bed.use(async (files) => {
      const outcomes: string[] = [];
      for (let count = 0; count < 200; count += 1) {
        await bed.world.delay(2_000, 'pause');
        outcomes.push(
          await files.appendFile('/a', 'line\n').then(
            () => 'written',
            (error) => error.code,
          ),
        );
      }
      expect(new Set(outcomes)).toEqual(new Set(['written', 'ENOSPC']));
      const failed = outcomes.filter((outcome) => outcome === 'ENOSPC').length;
      expect(failed).toBeGreaterThan(2 * (bed.injected.get('full') ?? 0));
      bed.disk.settings = {};
      await files.appendFile('/a', 'line\n');
    });
  });
});

describe('a failing disk', () => {
  it('fails before or after the effect', async () => {
    const bed = diskBed(1, { faults: { failing: 0.5 } });
    await bed.use(async (files) => {
      let [succeeded, failed] = [0, 0];
      for (let count = 0; count < 100; count += 1) {
        await files.appendFile('/a', '.').then(
          () => {
            succeeded += 1;
          },
          (error) => {
            expect(error.code).toBe('EIO');
            failed += 1;
          },
        );
      }
      const written = bed.disk.read('/a')?.length ?? 0;
      expect(written).toBeGreaterThan(succeeded);
      expect(written).toBeLessThan(100);
      expect(bed.injected.get('failing')).toBe(failed);
    });
  });

  it('is slow by chance', async () => {
    const timeOf = async (slow: number) => {
      const bed = diskBed(1, { faults: { slow } });
      await bed.use(async (files) => {
        for (let count = 0; count < 20; count += 1) await files.appendFile('/a', '.');
      });
      return bed.world.elapsed;
    };
    expect(await timeOf(0)).toBeLessThan(200);
    expect(await timeOf(0.2)).toBeGreaterThan(2_000);
  });
});
