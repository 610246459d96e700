import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { makeAssignment, someUid } from '../../support/agent/assignments.ts';

const bootID = '11111111-2222-4333-8444-555555555555';
const otherUid = '7a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f';
let folder = '';
let journal: FileJournal;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'journal-'));
  journal = new FileJournal(nodeFileSystem, folder);
});
afterEach(() => rm(folder, { recursive: true }));

const file = (uid: string) => join(folder, 'vms', uid, 'vm.json');
const record = { ...newRecord(someUid, bootID), assignment: makeAssignment(), restarts: 3 };

describe('the journal', () => {
  it('is empty on a new node', async () => {
    expect(await journal.load()).toEqual({ records: [], quarantined: [] });
  });

  it('returns the record that was written last', async () => {
    await journal.write({ ...record, restarts: 2 });
    await journal.write(record);
    expect((await journal.load()).records).toEqual([record]);
    expect(await readdir(join(folder, 'vms', someUid))).toEqual(['vm.json']);
  });

  it('keeps the order of writes that were requested at the same time', async () => {
    const writes = Array.from({ length: 20 }, (_, restarts) => journal.write({ ...record, restarts }));
    await Promise.all(writes);
    expect((await journal.load()).records[0]?.restarts).toBe(19);
  });

  it('is durable up to the last write, however many writes overtake each other', async () => {
    const seen: (number | undefined)[] = [];
    const waiting: Promise<unknown>[] = [];
    const copy = new FileJournal(nodeFileSystem, folder);
    for (let restarts = 0; restarts < 30; restarts += 1) {
      const written = journal.write({ ...record, restarts });
      const looked = written.then(async () => {
        const found = (await copy.load()).records[0]?.restarts;
        seen.push(found === undefined ? undefined : found - restarts);
      });
      waiting.push(looked);
      await stat(folder);
    }
    await Promise.all(waiting);
    // Each read found the record that was written, or a newer one.
    expect(seen.filter((lead) => lead === undefined || lead < 0)).toEqual([]);
    expect((await journal.load()).records[0]?.restarts).toBe(29);
  });

  it('does not write an unchanged record again', async () => {
    await journal.write(record);
    const { ino } = await stat(file(someUid));
    await Promise.all([journal.write(record), journal.write({ ...record })]);
    expect((await stat(file(someUid))).ino).toBe(ino);
    await journal.remove(someUid);
    await journal.write(record);
    expect((await journal.load()).records).toEqual([record]);
  });

  it('forgets a VM whose first write was interrupted, and keeps the log of one whose journal is lost', async () => {
    for (const [uid, name] of [
      [someUid, 'vm.json.new'],
      [otherUid, 'guest.log'],
    ] as const) {
      await mkdir(join(folder, 'vms', uid), { recursive: true });
      await writeFile(join(folder, 'vms', uid, name), '{');
    }
    expect(await journal.load()).toEqual({ records: [], quarantined: [] });
    expect(await readdir(join(folder, 'vms'))).toEqual([otherUid]);
    await journal.write(record);
    expect((await journal.load()).records).toEqual([record]);
  });

  it('removes the whole folder, even after a write that is still in progress', async () => {
    await journal.load();
    const write = journal.write(record);
    await stat(folder);
    await journal.remove(someUid);
    await write;
    expect(await readdir(join(folder, 'vms'))).toEqual([]);
  });

  it.each([
    ['torn', (text: string) => text.slice(0, text.length / 2)],
    ['edited', (text: string) => text.replace('\\"restarts\\":3', '\\"restarts\\":4')],
    ['empty', () => ''],
    ['of another program', () => '{"hello":"world"}'],
  ])('quarantines a file that is %s, and keeps the others', async (_, damage) => {
    await journal.write(record);
    await journal.write({ ...record, uid: otherUid, assignment: makeAssignment({ uid: otherUid }) });
    await writeFile(file(someUid), damage(await readFile(file(someUid), 'utf8')));
    const { records, quarantined } = await journal.load();
    expect(records.map(({ uid }) => uid)).toEqual([otherUid]);
    expect(quarantined).toMatchObject([{ uid: someUid }]);
    expect(await readdir(join(folder, 'vms', someUid))).toEqual(['vm.json.quarantined']);
  });

  it('quarantines a record of another VM', async () => {
    await journal.write({ ...record, uid: otherUid });
    await journal.write(record);
    await writeFile(file(someUid), await readFile(file(otherUid)));
    expect((await journal.load()).quarantined[0]?.message).toContain('another VM');
  });

  it('ignores folders that do not belong to a VM', async () => {
    await journal.load();
    await writeFile(join(folder, 'vms', 'note.txt'), 'hello');
    expect(await journal.load()).toEqual({ records: [], quarantined: [] });
  });
});
