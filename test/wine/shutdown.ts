// The end of a pod, by the routine with which Windows raises CTRL_SHUTDOWN_EVENT in a process (kernel32's CtrlRoutine).
// `npm run test:wine` runs it.
import koffi from 'koffi';
import { describe, expect, it } from 'vitest';
import { onShutdown } from '../../agent/windows/shutdown-signal.ts';

const shutdownEvent = 6;
const timedOut = 258;

const kernel32 = koffi.load('kernel32.dll');
const moduleHandle = kernel32.func('__stdcall', 'GetModuleHandleW', 'void *', ['str16']);
const procedure = kernel32.func('__stdcall', 'GetProcAddress', 'void *', ['void *', 'str']);
const createThread = kernel32.func('__stdcall', 'CreateThread', 'intptr_t', [
  ...['void *', 'size_t', 'void *', 'uintptr_t', 'uint32_t', 'void *'],
]);
const wait: (handle: number, milliseconds: number) => number = kernel32.func(
  '__stdcall',
  'WaitForSingleObject',
  'uint32_t',
  ['intptr_t', 'uint32_t'],
);

describe('CTRL_SHUTDOWN_EVENT', () => {
  it('is blocked until the agent has stopped', async () => {
    const stopped = Promise.withResolvers<void>();
    const signal = await onShutdown(() => stopped.resolve(), 60_000, { kernel32: 'kernel32.dll' });
    const routine: unknown = procedure(moduleHandle('kernel32.dll'), 'CtrlRoutine');
    expect(routine === null).toBe(false);
    const thread: number = createThread(null, 0, routine, shutdownEvent, 0, null);
    await stopped.promise;
    expect(wait(thread, 0)).toBe(timedOut);
    signal.done();
    expect(wait(thread, 10_000)).toBe(0);
  });
});
