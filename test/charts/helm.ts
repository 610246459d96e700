// Helm of a fixed version, built once per machine like the control plane, and run as a user would.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../cache-folder.ts';

const version = 'v4.3.1';
const cached = join(cacheFolder, `helm-${version}`, 'helm');

export interface HelmResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export const chartFolder = (name: string) => fileURLToPath(new URL(`../../charts/${name}`, import.meta.url));

let building: Promise<string> | undefined;

export function helmPath(): Promise<string> {
  building ??= helmBinary();
  return building;
}

/** Runs `helm <args>`; a failure is a result like any other. */
export async function runHelm(
  args: readonly string[],
  { kubeconfigPath, input = '' }: { readonly kubeconfigPath?: string; readonly input?: string } = {},
): Promise<HelmResult> {
  // Nothing of the user's: neither plugins, nor repositories, nor a cluster.
  const home = join(cacheFolder, 'helm-home');
  const env = {
    PATH: process.env['PATH'],
    HOME: home,
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
    KUBECONFIG: kubeconfigPath ?? join(home, 'none'),
  };
  const child = spawn(await helmPath(), args, { env, stdio: 'pipe' });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: Number(code ?? 1), stdout, stderr };
}

/** The same for a command that must succeed; returns its output. */
export async function helm(...[args, options]: Parameters<typeof runHelm>): Promise<string> {
  const { code, stdout, stderr } = await runHelm(args, options);
  if (code !== 0) throw new Error(`helm ${args.join(' ')} failed (${code}): ${stderr}`);
  return stdout;
}

/** Built into a folder of its own first, so that of two who build at once nobody sees half a file. */
async function helmBinary(): Promise<string> {
  if (await exists(cached)) return cached;
  await mkdir(dirname(cached), { recursive: true });
  const unfinished = await mkdtemp(join(cacheFolder, 'helm-unfinished-'));
  try {
    await install(unfinished);
    await rename(join(unfinished, 'helm'), cached);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return cached;
}

async function install(folder: string): Promise<void> {
  const began = Date.now();
  const say = () => {
    const seconds = Math.round((Date.now() - began) / 1000);
    process.stderr.write(`building helm ${version} (a few minutes, once): ${seconds} s\n`);
  };
  say();
  const progress = setInterval(say, 30_000);
  try {
    const args = ['install', '-trimpath', '-ldflags=-s -w', `helm.sh/helm/v4/cmd/helm@${version}`];
    const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' };
    const child = spawn('go', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    if (code !== 0) throw new Error(`go install of helm failed:\n${said.split('\n').slice(-20).join('\n')}`);
  } finally {
    clearInterval(progress);
  }
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) process.stdout.write(await helm(['version']));
