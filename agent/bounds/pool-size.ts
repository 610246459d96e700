// The number of threads in libuv's pool, which native calls, files and name look-ups share (hcs-runtime A.4).

const poolVariable = 'UV_THREADPOOL_SIZE';
/** Sleeping threads cost little. With 32, half of the pool keeps 100 VMs going while a call hangs. */
export const wantedPoolSize = 32;
const libuvDefault = 4;
const libuvMaximum = 1024;

/**
 * The number of threads that libuv makes in a process with this environment. libuv reads a value that is not a number
 * as 1.
 */
export function poolSize(environment: NodeJS.ProcessEnv): number {
  const given = environment[poolVariable];
  if (given === undefined) return libuvDefault;
  const size = Number.parseInt(given, 10) || 1;
  return size < 0 ? libuvMaximum : Math.min(size, libuvMaximum);
}

/**
 * Call before the pool is used. A value in the environment is left unchanged. On Windows nothing is changed: libuv asks
 * the C runtime, whose copy of the environment dates from the start of the process, so the variable must be set before.
 */
export function setDefaultPoolSize(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): void {
  if (platform === 'win32' || environment[poolVariable] !== undefined) return;
  environment[poolVariable] = String(wantedPoolSize);
}

/** A warning for the person who starts the agent; undefined when there are enough threads. */
export function poolProblem(environment: NodeJS.ProcessEnv): string | undefined {
  const size = poolSize(environment);
  if (size >= wantedPoolSize / 2) return undefined;
  return `only ${size} threads for calls into HCS, files and names: set ${poolVariable}=${wantedPoolSize} before the agent is started`;
}
