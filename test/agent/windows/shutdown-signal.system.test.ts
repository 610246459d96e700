// The shutdown of an agent by Windows: its handler returns only when the stop is complete, and the agent continues to
// work until then.
import koffi from 'koffi';
import { beforeAll, describe, expect, it } from 'vitest';
import { onShutdown } from '../../../agent/windows/shutdown-signal.ts';
import { buildDouble } from '../../support/doubles/build.ts';
import { until } from '../../support/until.ts';

const shutdownEvent = 6;
const logoffEvent = 5;

let kernel32: string;
let raise: (event: number) => void;
/** The return value of the handler; -1 until it returns. */
let handled: () => number;
let failNext: (call: string, code: number) => void;

beforeAll(async () => {
  kernel32 = await buildDouble('win32');
  const double = koffi.load(kernel32);
  raise = double.func('DoubleControl', 'void', ['uint32_t']);
  handled = double.func('DoubleHandled', 'int', []);
  failNext = double.func('DoubleFail', 'void', ['str', 'uint32_t']);
});

describe('the end of an agent that Windows shuts down', () => {
  it('keeps Windows waiting until the stop is complete, while the agent continues to work', async () => {
    let stops = 0;
    const stop = () => {
      stops += 1;
    };
    const signal = await onShutdown(stop, 60_000, { kernel32 });
    raise(shutdownEvent);
    await until('stop', () => stops === 1);
    // The stop takes turns of the agent's own event loop.
    await new Promise((resolve) => setImmediate(resolve));
    expect(handled()).toBe(-1);
    signal.done();
    await until('returned', () => handled() === 1);
    expect(stops).toBe(1);
  });

  it('does not wait longer than Windows does', async () => {
    let stops = 0;
    const stop = () => {
      stops += 1;
    };
    await onShutdown(stop, 20, { kernel32 });
    raise(shutdownEvent);
    await until('returned', () => handled() === 1);
    await until('stop', () => stops === 1);
  });

  it('is not caused by a user who logs off', async () => {
    let stops = 0;
    const stop = () => {
      stops += 1;
    };
    const signal = await onShutdown(stop, 60_000, { kernel32 });
    raise(logoffEvent);
    await until('returned', () => handled() === 0);
    signal.done();
    expect(stops).toBe(0);
  });

  it('is not observed when Windows refuses the handler, and the agent reports that', async () => {
    failNext('SetConsoleCtrlHandler', 5);
    await expect(onShutdown(() => undefined, 1_000, { kernel32 })).rejects.toThrow();
  });
});
