// What the agent serves over streams: logs from its files, whatever position a reader starts at, and who can start
// processes.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { GuestCommand } from '../../../agent/guest/bridge/process-request.ts';
import type { GuestProcess } from '../../../agent/guest/bridge/processes.ts';
import { GuestLogFile } from '../../../agent/guest-log/file.ts';
import { endOfEarlierRun, type LogSection, readLog } from '../../../agent/guest-log/reader.ts';
import { policyAllowsExec } from '../../../agent/preparation/exec-policy.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { ExclusiveConsoles } from '../../../agent/streams/console-readers.ts';
import { serveExec } from '../../../agent/streams/exec-stream.ts';
import { GuestAccess, type ReachableVirtualMachine } from '../../../agent/vm/guest-access.ts';
import { systemClock } from '../../../runtime/clock.ts';

async function logIn(options: { readonly maxBytes?: number; readonly keptFiles?: number } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'reader-'));
  const open = () =>
    new GuestLogFile({
      files: nodeFileSystem,
      folder,
      onDropped: () => undefined,
      onFailure: () => undefined,
      ...options,
    });
  return { open, file: open(), folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const noEnd = new AbortController().signal;

async function textOf(file: GuestLogFile, section: Partial<LogSection> = {}): Promise<string> {
  const blocks: Buffer[] = [];
  for await (const block of readLog(file, { after: undefined, follow: false, ...section }, noEnd)) blocks.push(block);
  return Buffer.concat(blocks).toString('utf8');
}

const linesOf = (boot: number, from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `${boot}.${from + index} text`);

async function append(file: GuestLogFile, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    file.append(line);
    await file.flush();
  }
}

describe('a guest that never reports its stacks', () => {
  it('is not waited for when its user has gone', async () => {
    const user = new AbortController();
    const run = { guestConnected: true, dumpStacks: () => new Promise<string>(() => undefined) };
    const access = new GuestAccess({ run } as unknown as ReachableVirtualMachine);
    const reading = access.readStacks(user.signal);
    user.abort(new Error('gone'));
    await expect(reading).rejects.toThrow('gone');
  });
});

describe('a log that is read from its files', () => {
  it('continues after any line, across rotations, with each kept line exactly once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: -1, max: 60 }),
        fc.integer({ min: 40, max: 200 }),
        async (count, after, maxBytes) => {
          await using log = await logIn({ maxBytes, keptFiles: 100 });
          await append(log.file, linesOf(1, 0, count));
          const expected = linesOf(1, Math.min(after + 1, count), count);
          const text = await textOf(log.file, { after: { boot: 1, sequence: after } });
          expect(text.split('\n').slice(0, -1)).toEqual(expected);
        },
      ),
      { numRuns: 25 },
    );
  });

  it('begins with the oldest kept line when the requested one is gone', async () => {
    await using log = await logIn({ maxBytes: 40, keptFiles: 1 });
    await append(log.file, linesOf(1, 0, 20));
    const lines = (await textOf(log.file, { after: { boot: 1, sequence: 0 } })).trimEnd().split('\n');
    expect(lines.at(-1)).toBe('1.19 text');
    expect(lines.length).toBeLessThan(10);
    expect(lines).toEqual(linesOf(1, 20 - lines.length, 20));
  });

  it('can be followed across rotations, even by a reader that is slower than the guest', async () => {
    await using log = await logIn({ maxBytes: 60, keptFiles: 50 });
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const block of readLog(log.file, { after: undefined, follow: true }, stop.signal)) {
        seen.push(...block.toString('utf8').trimEnd().split('\n'));
        if (seen.length >= 100) stop.abort();
      }
    })();
    await append(log.file, linesOf(3, 0, 100));
    await reading;
    expect(seen).toEqual(linesOf(3, 0, 100));
  });

  it('keeps its order however many readers wait for new lines', async () => {
    await using log = await logIn({ maxBytes: 60, keptFiles: 50 });
    const flushes: Promise<void>[] = [];
    for (const line of linesOf(3, 0, 50)) {
      flushes.push(log.file.flush());
      log.file.append(line);
      flushes.push(log.file.flush(), log.file.flush());
      await flushes.at(-1);
    }
    await Promise.all(flushes);
    expect((await textOf(log.file)).trimEnd().split('\n')).toEqual(linesOf(3, 0, 50));
  });

  it('knows the end of the previous run, and its own last line after the agent was restarted', async () => {
    await using log = await logIn({ maxBytes: 50, keptFiles: 20 });
    await append(log.file, [...linesOf(1, 0, 9), ...linesOf(3, 0, 7), ...linesOf(4, 0, 5)]);
    expect(await endOfEarlierRun(log.file, 4, noEnd)).toEqual({ boot: 3, sequence: 6 });
    expect(await endOfEarlierRun(log.file, 1, noEnd)).toBeUndefined();
    const previous = await textOf(log.file, { after: { boot: 3, sequence: 4 }, lastBoot: 3 });
    expect(previous).toBe('3.5 text\n3.6 text\n');
    const again = log.open();
    expect(await again.lastPosition()).toEqual({ boot: 4, sequence: 4 });
    await append(again, linesOf(4, 5, 6));
    expect(await textOf(again, { after: { boot: 4, sequence: 2 } })).toBe('4.3 text\n4.4 text\n4.5 text\n');
  });

  it('does not treat the partial line of a dead agent as a line', async () => {
    await using log = await logIn();
    await writeFile(join(log.folder, 'guest.log'), '1.0 text\n1.1 cut o');
    await append(log.file, ['1.1 text']);
    expect((await textOf(log.file, { after: { boot: 1, sequence: 0 } })).split('\n').at(-2)).toBe('1.1 cut o');
  });
});

describe('a process in a confidential VM', () => {
  const encode = (policy: string) => Buffer.from(policy).toString('base64');
  it.each([
    ['', false],
    ['{"allow_all":true,"containers":{}}', true],
    ['{"allow_all":false}', false],
    ['package policy\nexec_external := {"allowed": true}\n', true],
    ['package policy\nexec_external := {"allowed": false}\n', false],
    ['package policy\nexec_external := data.framework.exec_external\n', false],
    ['external_processes := [\n {"command": ["sh"]}]\nexec_external := data.framework.exec_external\n', true],
    ['# exec_external := {"allowed": true}\n', false],
  ])('is allowed by the policy %j: %s', (policy, allowed) => {
    expect(policyAllowsExec(encode(policy))).toBe(allowed);
  });
});

describe('a process with a terminal', () => {
  async function commandsOf(terminal: { height: number; width: number } | undefined, hasStty: boolean) {
    const commands: (readonly string[])[] = [];
    const access = {
      execute: async ({ args }: GuestCommand): Promise<GuestProcess> => {
        commands.push(args);
        if (args[0] === 'stty' && !hasStty) throw new Error('no such file or directory');
        const none = { stdin: undefined, stdout: undefined, stderr: undefined };
        return { id: 100 + commands.length, ...none, exitCode: Promise.resolve(7) };
      },
    };
    const opening = { type: 'exec', command: ['top'], stdin: false, stdout: true, stderr: true } as const;
    const wanted = { ...opening, ...(terminal && { terminal }) };
    const stream = { incoming: () => Readable.from([]), outgoing: () => new PassThrough().resume() };
    const ports = { access, clock: systemClock, stream, opened: () => undefined, signal: noEnd };
    expect(await serveExec({ uid: 'uid', ...wanted } as never, ports)).toEqual({ exitCode: 7 });
    return commands;
  }

  it.each([true, false])(
    'gets its size, which the guest agent ignores, by stty (which the guest has: %s)',
    async (has) => {
      const size = ['stty', '-F', '/proc/101/fd/0', 'rows', '24', 'cols', '80'];
      expect(await commandsOf({ height: 24, width: 80 }, has)).toEqual([['top'], size]);
      expect(await commandsOf(undefined, has)).toEqual([['top']]);
    },
  );
});

describe('a console', () => {
  it('has one reader at a time, and accepts the next one when the first is gone', async () => {
    const consoles = new ExclusiveConsoles(async function* () {
      yield Buffer.from('printed');
    });
    const first = consoles.read('pipe', noEnd)[Symbol.asyncIterator]();
    await first.next();
    await expect(consoles.read('pipe', noEnd)[Symbol.asyncIterator]().next()).rejects.toThrow('another user');
    await first.return?.(undefined);
    expect((await consoles.read('pipe', noEnd)[Symbol.asyncIterator]().next()).done).toBe(false);
  });
});
