// Comparisons for the operator, where their sources are available: a minimal controller-runtime operator, and raw
// writes without an operator. Built once per version, outside the work tree.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../support/cache-folder.ts';

const sources = fileURLToPath(new URL('../../../shared/bench/', import.meta.url));
const run = promisify(execFile);

export interface Peers {
  readonly controllerRuntime: string;
  readonly load: string;
}

/** Undefined where the sources are missing. */
export async function buildPeers(): Promise<Peers | undefined> {
  const there = await access(sources).then(
    () => true,
    () => false,
  );
  if (!there) return undefined;
  return { controllerRuntime: await built('peer-go'), load: await built('load') };
}

async function built(name: string): Promise<string> {
  const cwd = join(sources, name);
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(await readFile(join(cwd, file)));
  const folder = join(cacheFolder, `bench-${name}-${hash.digest('hex').slice(0, 16)}`);
  await mkdir(folder, { recursive: true });
  const binary = join(folder, name);
  const exists = await access(binary).then(
    () => true,
    () => false,
  );
  if (!exists)
    await run('go', ['build', '-trimpath', '-o', binary, '.'], { cwd, env: { ...process.env, GOWORK: 'off' } });
  return binary;
}

export interface LimitFigure {
  /** Seconds for creating the objects, and then for the status writes. */
  readonly createSeconds: number;
  readonly writeSeconds: number;
}

export async function measureLimit(load: string, kubeconfigPath: string, count: number): Promise<LimitFigure> {
  const { stdout } = await run(load, ['-kubeconfig', kubeconfigPath, '-n', String(count), '-mode', 'limit']);
  const [created, written] = [/^created \d+ in (\S+)/m.exec(stdout)?.[1], /^limit: .* in (\S+)/m.exec(stdout)?.[1]];
  if (created === undefined || written === undefined || /failed [1-9]/.test(stdout)) {
    throw new Error(`the limit could not be measured:\n${stdout}`);
  }
  return { createSeconds: secondsOf(created), writeSeconds: secondsOf(written) };
}

/** Seconds of a Go duration, such as 1m2.3s or 730ms. */
function secondsOf(duration: string): number {
  const units: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, µs: 1e-6 };
  let seconds = 0;
  for (const [, amount, unit = 's'] of duration.matchAll(/([\d.]+)(ms|µs|h|m|s)/g)) {
    seconds += Number(amount) * (units[unit] ?? Number.NaN);
  }
  return seconds;
}

export interface RunningProgram {
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startControllerRuntime(binary: string, kubeconfig: string, log: string): Promise<RunningProgram> {
  await using output = await open(log, 'a');
  const child = spawn(binary, ['-kubeconfig', kubeconfig], { stdio: ['ignore', output.fd, output.fd] });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error('the baseline did not start');
  const ended = once(child, 'exit');
  return {
    pid,
    async stop() {
      child.kill();
      await ended;
    },
  };
}
