// Windows shuts an agent down: its handler returns only when the stop is done, and the agent works on meanwhile.
import koffi from 'koffi';
import { beforeAll, describe, expect, it } from 'vitest';
import { onShutdown } from '../../../agent/windows/shutdown-signal.ts';
import { buildDouble } from '../../support/doubles/build.ts';
import { until } from '../../support/until.ts';

const shutdownEvent = 6;
const logoffEvent = 5;

let kernel32: string;
let raise: (event: number) => void;
/** What the handler has returned; -1 while it has not. */
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
  it('keeps Windows waiting until the stop is done, while the agent works on', async () => {
    let stops = 0;
    const stop = () => {
      stops += 1;
    };
    const signal = await onShutdown(stop, 60_000, { kernel32 });
    raise(shutdownEvent);
    await until('stop', () => stops === 1);
    // What it does until then takes turns of its own loop.
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

  it('is nothing that a user who logs off brings about', async () => {
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

  it('is not heard of when Windows refuses the handler, which is said', async () => {
    failNext('SetConsoleCtrlHandler', 5);
    await expect(onShutdown(() => undefined, 1_000, { kernel32 })).rejects.toThrow();
  });
});
