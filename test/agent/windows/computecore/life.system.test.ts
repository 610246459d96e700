// Handles, operations and events of the native library, in any order and in large numbers.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { SystemEnd, SystemExit } from '../../../../agent/node/backend.ts';
import type { ComputeCoreBackend } from '../../../../agent/windows/computecore/backend.ts';
import { ExitReport } from '../../../../agent/windows/computecore/exit-report.ts';
import { newSystemId, ordinaryDocument } from '../../../support/agent/simulated-node.ts';
import { ComputeCoreDouble, nothingLeft } from '../../../support/doubles/computecore.ts';
import { until } from '../../../support/until.ts';

const document = JSON.stringify(ordinaryDocument());
const eventType = { exited: 0x1, crashReport: 0x3, guestConnectionClosed: 0x6, disconnect: 0x0200_0000 };

const soak = z.object({ lives: z.int(), left: z.record(z.string(), z.int()), growth: z.number() });

let double: ComputeCoreDouble;
let backend: ComputeCoreBackend;

beforeAll(async () => {
  double = await ComputeCoreDouble.load();
});
beforeEach(() => {
  backend = double.connect();
});
afterEach(async () => {
  double.release();
  await backend.close();
  double.reset();
  expect(double.counts()).toEqual(nothingLeft);
});

const create = () => backend.create(newSystemId(), document);

async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'settled'> {
  const settled = promise.then(
    () => 'settled' as const,
    () => 'settled' as const,
  );
  return await Promise.race([settled, new Promise<'pending'>((resolve) => setTimeout(resolve, 30, 'pending'))]);
}

describe('events', () => {
  it('report how a guest ended by itself', async () => {
    for (const [exitType, status] of [
      ['GracefulExit', 0],
      ['UnexpectedExit', -1070137082],
    ] as const) {
      const system = await create();
      await system.start();
      double.exit(system.id, exitType, status);
      expect(await system.ended).toEqual({ kind: 'exited', exit: { exitType, status: status >>> 0 } });
    }
  });

  it('that do not end a system are ignored', async () => {
    const system = await create();
    for (const type of [0, eventType.crashReport, eventType.guestConnectionClosed, 0x8000_0002, 0x0100_0000])
      double.send(system.id, type, '{"Status":7}');
    double.send(system.id, eventType.guestConnectionClosed);
    await system.properties();
    expect(await stateOf(system.ended)).toBe('pending');
  });

  it('count once: only the first one that ends the system', async () => {
    const system = await create();
    double.exit(system.id, 'GracefulExit', 3);
    const end = await system.ended;
    double.send(system.id, eventType.exited, '{"Status":4,"ExitType":"ForcedExit"}');
    double.send(system.id, eventType.disconnect);
    await until('the handle is closed', () => double.counts().handles === 0);
    expect(await system.ended).toBe(end);
  });

  it('can arrive before the call that causes them has returned', async () => {
    const system = await create();
    double.script({ call: 'HcsStartComputeSystem', action: 'hold' });
    const starting = system.start();
    await until('the start is under way', () => double.visits('HcsStartComputeSystem') === 1);
    double.exit(system.id, 'UnexpectedExit', 0);
    expect(await system.ended).toMatchObject({ exit: { exitType: 'UnexpectedExit' } });
    double.release();
    await expect(starting).rejects.toMatchObject({ isAlreadyStopped: true });
  });

  it('with a broken or missing text still report the exit', async () => {
    const unknown: SystemEnd = { kind: 'exited', exit: { exitType: 'Unknown', status: 0 } };
    for (const text of [undefined, '', '{', 'null', '[]', '7', '{"Status":"x","ExitType":"Dreaming"}']) {
      const system = await create();
      double.send(system.id, eventType.exited, text);
      expect(await system.ended).toEqual(unknown);
      await system.close();
    }
  });

  it('are understood from builds that report the status only', async () => {
    const system = await create();
    double.send(system.id, eventType.exited, '{"Status":-1070137082}');
    expect(await system.ended).toEqual({ kind: 'exited', exit: { exitType: 'Unknown', status: 0xc037_0106 } });
  });

  it('after the handle was closed reach no listener', async () => {
    const closed = await create();
    await closed.close();
    const other = await create();
    double.sendToClosed(eventType.exited, '{"Status":0}');
    double.sendToClosed(eventType.disconnect);
    expect(await stateOf(other.ended)).toBe('pending');
    expect(await closed.ended).toEqual({ kind: 'closed' });
  });

  it('of a lost service end the handle, which then cannot be used and need not be closed', async () => {
    const system = await create();
    double.send(system.id, eventType.disconnect);
    expect(await system.ended).toEqual({ kind: 'serviceDisconnected' });
    await expect(system.properties()).rejects.toMatchObject({ isServiceDisconnect: true });
    await until('the handle is closed', () => double.counts().handles === 0);
    await system.close();
    await create();
  });
});

describe('a handle', () => {
  it('is not closed during a running call', async () => {
    const system = await create();
    double.script({ call: 'HcsModifyComputeSystem', action: 'hold' });
    const modifying = system.modify('{"ResourcePath":"x"}');
    const closing = system.close();
    await expect(system.start()).rejects.toMatchObject({ hresult: 0x8007_0006 });
    expect(await stateOf(closing)).toBe('pending');
    double.release();
    await modifying;
    await closing;
    expect(double.counts()).toEqual(nothingLeft);
  });

  it('cannot be used after it was closed, and is closed only once', async () => {
    const system = await create();
    await Promise.all([system.close(), system.close()]);
    await system.close();
    for (const call of [() => system.start(), () => system.terminate(), () => system.properties()])
      await expect(call()).rejects.toMatchObject({
        hresult: 0x8007_0006,
        detail: 'the handle has already been closed',
      });
    expect(double.visits('HcsTerminateComputeSystem')).toBe(0);
  });

  it('that nothing can listen on is closed together with its new system', async () => {
    double.script({ call: 'HcsSetComputeSystemCallback', action: 'failCall', value: 0x8007_000e });
    const lasting = JSON.stringify(ordinaryDocument({ terminatesWithLastHandle: false }));
    await expect(backend.create(newSystemId(), lasting)).rejects.toMatchObject({ isCapacity: true });
    expect(await backend.enumerate()).toEqual([]);
  });
});

describe('an operation', () => {
  it('that completes twice is completed', async () => {
    for (const call of ['HcsCreateComputeSystem', 'HcsStartComputeSystem', 'HcsTerminateComputeSystem'])
      double.script({ call, action: 'completeTwice' });
    const system = await create();
    await system.start();
    await system.terminate();
    expect(await system.ended).toMatchObject({ kind: 'exited' });
  });

  it('that takes long returns its late result', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'hold' });
    const creating = create();
    expect(await stateOf(creating)).toBe('pending');
    double.release();
    const system = await creating;
    expect((await system.properties()).state).toBe('Created');
  });

  it('that was in progress when the backend was closed leaves nothing behind', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'hold' });
    const creating = create();
    await until('it is under way', () => double.visits('HcsCreateComputeSystem') === 1);
    const closing = backend.close();
    expect(await stateOf(closing)).toBe('pending');
    double.release();
    await closing;
    await creating.catch(() => undefined);
    expect(double.counts()).toEqual(nothingLeft);
  });

  it('that failed at once leaves nothing behind when the backend is closed', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'failCall', value: 0x8037_0100 });
    double.script({ call: 'HcsCloseOperation', action: 'block', value: 100 });
    await expect(create()).rejects.toThrow('0x80370100');
    await backend.close();
    expect(double.counts()).toEqual(nothingLeft);
  });
});

describe('many objects at the same time', () => {
  it('are not mixed up: 50 operations', async () => {
    double.script({ call: 'HcsCreateComputeSystem', action: 'delay', value: 20, number: 0 });
    const systems = await Promise.all(Array.from({ length: 50 }, create));
    const properties = await Promise.all(systems.map((system) => system.properties()));
    expect(properties.map(({ id }) => id)).toEqual(systems.map(({ id }) => id));
    await Promise.all(systems.map((system) => system.start()));
    expect((await backend.enumerate()).every(({ state }) => state === 'Running')).toBe(true);
    await Promise.all(systems.map((system) => system.terminate()));
    await Promise.all(systems.map((system) => system.ended));
  });

  it('leave threads for files and everything else while native calls block', async () => {
    double.script({ call: 'HcsOpenComputeSystem', action: 'block', value: 300, number: 0 });
    let returned = 0;
    const blocked = Array.from({ length: 8 }, () =>
      backend
        .open(newSystemId())
        .catch(() => undefined)
        .then(() => {
          returned += 1;
        }),
    );
    await until('one blocks', () => double.visits('HcsOpenComputeSystem') > 0);
    await readFile(new URL(import.meta.url));
    // On the four threads that files normally have, nothing could be read before half of the calls have returned.
    expect(returned).toBeLessThan(4);
    await Promise.all(blocked);
  });

  it('leave nothing behind: 2,000 lives', async () => {
    const program = fileURLToPath(new URL('../../../support/doubles/computecore-soak.ts', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--max-semi-space-size=1', program]);
    const { lives, left, growth } = soak.parse(JSON.parse(stdout));
    expect(lives).toBeGreaterThanOrEqual(2_000);
    expect(left).toEqual(nothingLeft);
    // In mebibytes of resident memory.
    expect(growth).toBeLessThan(10);
  });
});

describe('an exit that the guest caused', () => {
  const exit = '{"Status":-1070137082,"ExitType":"UnexpectedExit","Attribution":[{"GuestCrash":{}}]}';
  const told = { exitType: 'UnexpectedExit', status: 0xc037_0106, attribution: ['GuestCrash'] };

  it.each([2, 3])('has the text of a crash event (%i) that arrives before it', async (type) => {
    const system = await create();
    double.send(system.id, type, '{"CrashLog":"why"}');
    await system.properties();
    double.send(system.id, eventType.exited, exit);
    expect(await system.ended).toEqual({ kind: 'exited', exit: { ...told, crashLog: 'why' } });
  });

  it('waits for a text that arrives after it', async () => {
    const system = await create();
    double.send(system.id, eventType.exited, exit);
    expect(await stateOf(system.ended)).toBe('pending');
    double.send(system.id, eventType.crashReport, '{"CrashLog":"why"}');
    expect(await system.ended).toEqual({ kind: 'exited', exit: { ...told, crashLog: 'why' } });
  });

  it('waits no longer than 2 s', async () => {
    const system = await create();
    const began = performance.now();
    double.send(system.id, eventType.exited, exit);
    expect(await system.ended).toEqual({ kind: 'exited', exit: told });
    expect(performance.now() - began).toBeGreaterThan(1_900);
  });

  it('is reported at once when nothing more can follow', () => {
    const settled: SystemExit[] = [];
    const report = new ExitReport((each) => settled.push(each));
    report.flush();
    report.exited({ exitType: 'UnexpectedExit', status: 1, attribution: ['TripleFault ErrorType=Unknown'] });
    expect(settled).toEqual([]);
    report.flush();
    expect(settled).toMatchObject([{ status: 1 }]);
  });

  it('does not wait for an event that is not a crash report', async () => {
    const system = await create();
    for (const text of [undefined, '', '{', '[]', '{"CrashLog":7}', '{"CrashLog":""}'])
      double.send(system.id, eventType.crashReport, text);
    await system.properties();
    double.send(system.id, eventType.exited, exit);
    expect(await stateOf(system.ended)).toBe('pending');
    double.send(system.id, eventType.crashReport, '{"CrashLog":"why at last"}');
    expect(await system.ended).toMatchObject({ exit: { crashLog: 'why at last' } });
  });
});
