import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { GuestLogRecord } from '../../../agent/guest/log/record.ts';
import { guestLogEntry } from '../../../agent/guest-log/entry.ts';
import { GuestLogFile, type GuestLogFileOptions } from '../../../agent/guest-log/file.ts';
import type { FileSystem } from '../../../agent/node/file-system.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { until } from '../../support/until.ts';

async function fileIn(options: Partial<GuestLogFileOptions> = {}, within = '') {
  const parent = await mkdtemp(join(tmpdir(), 'log-'));
  const folder = join(parent, within);
  const failures: string[] = [];
  let dropped = 0;
  const file = new GuestLogFile({
    files: nodeFileSystem,
    folder,
    onDropped: (lines) => {
      dropped += lines;
    },
    onFailure: ({ message }) => failures.push(message),
    ...options,
  });
  return {
    file,
    folder,
    failures,
    get dropped() {
      return dropped;
    },
    read: (name = 'guest.log') => readFile(join(folder, name), 'utf8'),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  };
}

describe('the file of a guest log', () => {
  it('has every line in order, even after the file was opened again', async () => {
    await using log = await fileIn();
    log.file.append('one');
    log.file.append('two');
    await log.file.flush();
    const again = new GuestLogFile({
      files: nodeFileSystem,
      folder: log.folder,
      onDropped: () => {},
      onFailure: () => {},
    });
    again.append('three');
    await again.flush();
    expect(await log.read()).toBe('one\ntwo\nthree\n');
  });

  it('is rotated by size, and the oldest file is removed', async () => {
    await using log = await fileIn({ maxBytes: 20, keptFiles: 2 });
    for (let line = 0; line < 10; line += 1) {
      log.file.append(`line ${line} ${'x'.repeat(8)}`);
      await log.file.flush();
    }
    expect((await readdir(log.folder)).sort()).toEqual(['guest.log', 'guest.log.1', 'guest.log.2']);
    expect([await log.read('guest.log.2'), await log.read('guest.log.1'), await log.read()].join('')).toBe(
      'line 7 xxxxxxxx\nline 8 xxxxxxxx\nline 9 xxxxxxxx\n',
    );
  });

  it('drops lines that the disk does not accept in time, counts them and reports it', async () => {
    await using log = await fileIn({ maxWaitingBytes: 10 });
    for (const line of ['aaaa', 'bbbb', 'cccc', 'dddd']) log.file.append(line);
    await log.file.flush();
    expect(log.dropped).toBe(2);
    expect(await log.read()).toBe('aaaa\nbbbb\n[2 lines were dropped: the disk did not take them]\n');
  });

  it('counts waiting text in bytes, and cuts no character', async () => {
    await using log = await fileIn({ maxWaitingBytes: 8 });
    for (const line of ['äöü', 'x', '€']) log.file.append(line);
    await log.file.flush();
    expect(log.dropped).toBe(2);
    expect(await log.read()).toBe('äöü\n[2 lines were dropped: the disk did not take them]\n');
  });

  it('keeps every line of a flood unchanged, however much waits at once', async () => {
    await using log = await fileIn({ maxBytes: 1 << 30 });
    const text = (size: number) => `${size} ${'ä€😀x'.repeat(size)}`;
    const sizes = Array.from({ length: 400 }, (_, index) => (index * 37) % 300);
    for (const [index, size] of sizes.entries()) {
      log.file.append(text(size));
      if (index % 150 === 0) await log.file.flush();
    }
    await log.file.flush();
    expect(await log.read()).toBe(sizes.map((size) => `${text(size)}\n`).join(''));
  });

  it('tells of a loss as soon as the disk works again, also when the next lines waited already', async () => {
    await using log = await fileIn({});
    let writes = 0;
    const failsOnce: FileSystem = {
      ...nodeFileSystem,
      async appendFile(path, content) {
        writes += 1;
        if (writes > 1) return nodeFileSystem.appendFile(path, content);
        file.append('waits');
        throw new Error('the device is not ready');
      },
    };
    const events = { onDropped: () => {}, onFailure: () => {} };
    const file = new GuestLogFile({ files: failsOnce, folder: log.folder, ...events });
    file.append('lost');
    await until('told', async () => (await log.read().catch(() => '')).includes('[1 lines were dropped'));
    expect(await log.read()).toBe('waits\n[1 lines were dropped: the disk did not take them]\n');
  });

  it('reports once that it cannot be written, and continues when it can', async () => {
    await using log = await fileIn({}, 'missing');
    for (const line of ['lost', 'lost too']) {
      log.file.append(line);
      await log.file.flush();
    }
    expect(log.failures).toHaveLength(1);
    expect(log.dropped).toBe(2);
    await mkdir(log.folder);
    log.file.append('kept');
    await log.file.flush();
    expect(await log.read()).toBe('[2 lines were dropped: the disk did not take them]\nkept\n');
  });
});

describe('an entry for collectors', () => {
  const source = { namespace: 'n', name: 'vm', uid: 'u' };
  const record = (fields: GuestLogRecord['fields']): GuestLogRecord => ({ level: 'info', message: 'm', fields });

  it('has the VM and the time of the guest, and keeps the fields of the guest apart', () => {
    const time = '2024-01-15T10:30:00.5Z';
    const entry = guestLogEntry(record({ 'uvm-id': 'x', 'vm.time': time, namespace: 'forged', a: 1 }), source);
    expect(JSON.parse(entry)).toEqual({
      source: 'guest',
      ...source,
      guestTime: time,
      level: 'info',
      msg: 'm',
      fields: { namespace: 'forged', a: 1 },
    });
  });
});
