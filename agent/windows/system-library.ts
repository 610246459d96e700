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
  const path = systemPath(environment);
  return {
    computecore: path('computecore.dll'),
    kernel32: path('kernel32.dll'),
    advapi32: path('advapi32.dll'),
    ws2_32: path('ws2_32.dll'),
  };
}

/** What HNS needs. A Windows without HNS lacks the first. */
export interface NetworkLibraries {
  readonly computenetwork: string;
  readonly vmcompute: string;
  readonly ole32: string;
}

export function networkLibraries(environment: NodeJS.ProcessEnv = process.env): NetworkLibraries {
  const path = systemPath(environment);
  return { computenetwork: path('computenetwork.dll'), vmcompute: path('vmcompute.dll'), ole32: path('ole32.dll') };
}

function systemPath(environment: NodeJS.ProcessEnv): (name: string) => string {
  return (name) => join(environment['SystemRoot'] ?? 'C:\\Windows', 'System32', name);
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
