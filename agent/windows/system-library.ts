// Loads Windows libraries from System32 only (hcs-runtime A.0). Tests substitute their own.
import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';

export interface WindowsLibraries {
  readonly computecore: string;
  readonly kernel32: string;
  readonly advapi32: string;
  readonly ws2_32: string;
}

export function windowsLibraries(environment: NodeJS.ProcessEnv = process.env): WindowsLibraries {
  const path = (name: string) => join(environment['SystemRoot'] ?? 'C:\\Windows', 'System32', name);
  return {
    computecore: path('computecore.dll'),
    kernel32: path('kernel32.dll'),
    advapi32: path('advapi32.dll'),
    ws2_32: path('ws2_32.dll'),
  };
}

export type NativeFunction = ReturnType<LibraryHandle['func']>;
export type ParameterType = Parameters<LibraryHandle['func']>[3][number];

export function bindFunction(
  path: string,
  name: string,
  result: string,
  parameters: readonly ParameterType[],
): NativeFunction {
  return koffi.load(path).func('__stdcall', name, result, [...parameters]);
}

/** Runs on a thread of libuv's pool. Returns an unsigned 32-bit number, the type of error codes. */
export function callAsync(native: NativeFunction, ...parameters: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    native.async(...parameters, (error: unknown, result: unknown) => {
      if (error === null || error === undefined) resolve(Number(result) >>> 0);
      else reject(error);
    });
  });
}
