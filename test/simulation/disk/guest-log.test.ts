// A guest's log whose agent dies at each call to the disk, also in the middle of a write or of a rotation: the next
// agent goes on where the lines end, and a reader gets each line that was kept, once and in order.
import { describe, expect, it } from 'vitest';
import { GuestLogFile } from '../../../agent/guest-log/file.ts';
import { readLog } from '../../../agent/guest-log/reader.ts';
import type { FileSystem } from '../../../agent/node/file-system.ts';
import { SentDocumentFiles } from '../../../agent/storage/sent-documents.ts';
import { type Chance, chanceOf } from '../chance.ts';
import { type DiskBed, diskBed } from './bed.ts';

const folder = '/state/vms/a';
const noEnd = new AbortController().signal;
const textOf = (boot: number, sequence: number) => `${boot}.${sequence} ${'text '.repeat(1 + (sequence % 5))}end`;

class Log {
  readonly file: GuestLogFile;
  readonly #boot: number;
  #appended = 0;
  /** The number of lines that are certainly kept. */
  flushed = 0;
  dropped = 0;

  constructor(files: FileSystem, boot: number) {
    this.#boot = boot;
    const onDropped = (lines: number) => {
      this.dropped += lines;
    };
    this.file = new GuestLogFile({ files, folder, maxBytes: 120, keptFiles: 3, onDropped, onFailure: () => {} });
  }

  async write(bursts: number, chance: Chance): Promise<void> {
    for (let burst = 0; burst < bursts; burst += 1) {
      const lines = 1 + chance.integer(4);
      for (let line = 0; line < lines; line += 1) {
        this.file.append(textOf(this.#boot, this.#appended));
        this.#appended += 1;
      }
      if (chance.happens(0.7)) await this.#flush();
    }
    await this.#flush();
  }

  async #flush(): Promise<void> {
    const appended = this.#appended;
    await this.file.flush();
    this.flushed = appended;
  }
}

interface FoundLine {
  readonly boot: number;
  readonly sequence: number;
  readonly text: string;
}

async function linesOf(log: Log): Promise<FoundLine[]> {
  const blocks: Buffer[] = [];
  for await (const block of readLog(log.file, { after: undefined, follow: false }, noEnd)) blocks.push(block);
  const lines = Buffer.concat(blocks).toString('utf8').split('\n').slice(0, -1);
  return lines.flatMap((text) => {
    const [, boot, sequence] = /^(\d+)\.(\d+) /.exec(text) ?? [];
    return boot === undefined ? [] : [{ boot: Number(boot), sequence: Number(sequence), text }];
  });
}

/** Writes a log until an event of its world; returns the number of events. */
async function dieWriting(bed: DiskBed, chance: Chance, lastEvent: number): Promise<{ log: Log; events: number }> {
  bed.disk.putFolder(folder);
  const process = bed.start();
  const log = new Log(bed.disk.fileSystemFor(process), 1);
  await bed.run(
    () => log.write(20, chance),
    () => bed.world.events >= lastEvent,
  );
  process.die();
  return { log, events: bed.world.events };
}

async function live(seed: number, lastEvent: number): Promise<number> {
  const bed = diskBed(seed, { faults: { divided: 0.5 } });
  const chance = chanceOf(seed, 'lines');
  const { events, log } = await dieWriting(bed, chance, lastEvent);
  const circumstances = `seed ${seed}, death after event ${lastEvent}`;
  await bed.use(async (files) => {
    const next = new Log(files, 2);
    const last = await next.file.lastPosition();
    expect(last?.sequence ?? -1, circumstances).toBeGreaterThanOrEqual(log.flushed - 1);
    const kept = await linesOf(next);
    // A whole range: from some line that rotation left to the last one.
    const sequences = kept.map(({ sequence }) => sequence);
    expect(sequences, circumstances).toEqual(sequences.map((_, index) => (sequences[0] ?? 0) + index));
    expect(sequences.at(-1) ?? -1, circumstances).toBeGreaterThanOrEqual(log.flushed - 1);
    for (const { boot, sequence, text } of kept.filter((line) => line.sequence < log.flushed))
      expect(text, circumstances).toBe(textOf(boot, sequence));
    await next.write(1, chance);
    const after = await linesOf(next);
    expect(after.filter(({ boot }) => boot === 2).map(({ text }) => text)).toEqual(
      Array.from({ length: next.flushed }, (_, sequence) => textOf(2, sequence)),
    );
    // Rotation takes whole files, and the only line that may be torn is the last one of the dead agent.
    for (const { boot, sequence, text } of after) expect(textOf(boot, sequence).startsWith(text)).toBe(true);
    expect(after.filter(({ boot, sequence, text }) => text !== textOf(boot, sequence)).length).toBeLessThanOrEqual(1);
  });
  return events;
}

describe("a guest's log after the death of its agent", () => {
  it('has all kept lines, whichever call was the last', async () => {
    for (const seed of [1, 2]) {
      const events = await live(seed, Number.POSITIVE_INFINITY);
      expect(events).toBeGreaterThan(80);
      for (let last = 1; last < events; last += 1) await live(seed, last);
    }
  });

  it('counts each lost line, on a disk that fails and is full for a while', async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const bed = diskBed(seed, { faults: { divided: 0.2, failing: 0.05, full: 0.02 } });
      bed.disk.putFolder(folder);
      await bed.use(async (files) => {
        const log = new Log(files, 1);
        await log.write(3, chanceOf(seed, 'lines'));
        const kept = await linesOf(log);
        const whole = kept.filter(({ boot, sequence, text }) => text === textOf(boot, sequence));
        expect(whole.length + log.dropped, `seed ${seed}`).toBeGreaterThanOrEqual(log.flushed);
      });
    }
  });
});

describe('the document of a VM', () => {
  it('is the old or the new one after the death of an agent', async () => {
    const found = new Set<string | undefined>();
    for (let last = 1; last < 40; last += 1) {
      const bed = diskBed(last, { faults: { divided: 0.5 } });
      bed.disk.putFolder(folder);
      bed.disk.put(`${folder}/document.json`, 'old');
      const process = bed.start();
      await bed.run(
        () => new SentDocumentFiles(bed.disk.fileSystemFor(process), '/state').keep('a', 'new'),
        () => bed.world.events >= last,
      );
      process.die();
      found.add(await bed.use((files) => new SentDocumentFiles(files, '/state').read('a')));
    }
    expect(found).toEqual(new Set(['old', 'new']));
  });
});
