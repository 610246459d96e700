// How many threads the pool of libuv has, which native calls, files and name look-ups share (hcs-runtime A.4).

const poolVariable = 'UV_THREADPOOL_SIZE';
/** Threads cost little while they sleep; with so many, half of them keep 100 VMs apart from a call that hangs. */
export const wantedPoolSize = 32;
const libuvDefault = 4;
const libuvMaximum = 1024;

/** Threads of libuv's pool in a process with this environment, by libuv's own reading of it: what is no number is 1. */
export function poolSize(environment: NodeJS.ProcessEnv): number {
  const given = environment[poolVariable];
  if (given === undefined) return libuvDefault;
  const size = Number.parseInt(given, 10) || 1;
  return size < 0 ? libuvMaximum : Math.min(size, libuvMaximum);
}

/**
 * To be called before the pool is used. What the environment says is left as it is. On Windows nothing is changed: libuv
 * asks the C runtime, whose copy of the environment is from the start of the process, so that it has to be set before.
 */
export function setDefaultPoolSize(environment: NodeJS.ProcessEnv, platform: NodeJS.Platform): void {
  if (platform === 'win32' || environment[poolVariable] !== undefined) return;
  environment[poolVariable] = String(wantedPoolSize);
}

/** What to tell whoever started the agent; undefined when there are threads enough. */
export function poolProblem(environment: NodeJS.ProcessEnv): string | undefined {
  const size = poolSize(environment);
  if (size >= wantedPoolSize / 2) return undefined;
  return `only ${size} threads for calls into HCS, files and names: set ${poolVariable}=${wantedPoolSize} before the agent is started`;
}
