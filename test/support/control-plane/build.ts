// Builds the single binary of the control plane (server/), once for each version of its sources, outside the work tree.
// As a program (`npm run controlplane`) it prints the path of kubectl. CI runs it before the tests.
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from '../cache-folder.ts';

const sources = fileURLToPath(new URL('./server/', import.meta.url));
const sourceFiles = ['go.mod', 'go.sum', 'main.go'];

/** Names of the binary. It acts as the program whose name it is called by. */
const programs = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'];

/** Returns the folder of the programs. Builds them if these sources were not built before. */
export async function build(): Promise<string> {
  const folder = join(cacheFolder, `controlplane-${await digestOfSources()}`);
  await mkdir(cacheFolder, { recursive: true });
  while (!(await exists(folder))) {
    await using lock = await tryLock(`${folder}.lock`);
    if (lock === undefined) await sleep(1000);
    else if (!(await exists(folder))) await buildAfterOthers(folder);
  }
  return folder;
}

async function digestOfSources(): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${compilerFlags.join(' ')}\n`);
  for (const name of sourceFiles) hash.update(await readFile(join(sources, name)));
  return hash.digest('hex').slice(0, 16);
}

/** Only the holder of the lock builds, so an unfinished build here belongs to a process that was killed. */
async function buildAfterOthers(folder: string): Promise<void> {
  const leftovers = (await readdir(cacheFolder)).filter(
    (name) => name.startsWith(`${basename(folder)}.`) && !name.endsWith('.lock'),
  );
  await Promise.all(leftovers.map((name) => rm(join(cacheFolder, name), { recursive: true, force: true })));
  await buildInto(folder);
}

/** The folder appears complete or not at all, so an interrupted or concurrent build does no harm. */
async function buildInto(folder: string): Promise<void> {
  const unfinished = `${folder}.${randomUUID()}`;
  await mkdir(unfinished);
  try {
    await runGo(join(unfinished, 'controlplane'));
    for (const program of programs) await symlink('controlplane', join(unfinished, program));
    await rename(unfinished, folder);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    if (!(await exists(folder))) throw error;
  }
}

async function runGo(output: string): Promise<void> {
  const flags = [...compilerFlags, '-ldflags', await linkerFlags()];
  const child = spawn('go', ['build', '-v', ...flags, '-o', output, '.'], {
    cwd: sources,
    env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  using progress = new Progress();
  const said: string[] = [];
  createInterface(child.stderr).on('line', (line) => {
    said.push(line);
    progress.compiled();
  });
  const [code] = await once(child, 'close').catch((error: unknown) => {
    throw new Error('cannot run go, which builds the control plane: install Go 1.26 or later', { cause: error });
  });
  if (code !== 0) throw new Error(`go build of the control plane failed:\n${said.slice(-20).join('\n')}`);
}

/** Without debug information, which nobody needs here, the compiler has a seventh less to do. */
const compilerFlags = ['-trimpath', '-buildvcs=false', '-gcflags=all=-dwarf=false'];

/** kubectl compares its version with the server's, and the linker sets both. */
async function linkerFlags(): Promise<string> {
  const module = await readFile(join(sources, 'go.mod'), 'utf8');
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\d+)/.exec(module) ?? [];
  const values = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' };
  const settings = Object.entries(values).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ['-s', '-w', ...settings].join(' ');
}

const announcement =
  'Compiling etcd, kube-apiserver, kube-controller-manager and kubectl, once: about 7 minutes on two cores.\n' +
  'An API server that is already there spares it: KUBEBUILDER_ASSETS, or --kubeconfig (see CONTRIBUTING.md).\n';

/** A line that is updated on a terminal; elsewhere a line every half minute. */
class Progress {
  readonly #began = Date.now();
  readonly #timer: NodeJS.Timeout;
  #packages = 0;

  constructor() {
    process.stderr.write(announcement);
    this.#write();
    this.#timer = setInterval(() => this.#write(), process.stderr.isTTY ? 1000 : 30_000);
  }

  compiled(): void {
    this.#packages += 1;
  }

  #write(): void {
    const seconds = Math.round((Date.now() - this.#began) / 1000);
    const line = `${this.#packages} of about 2,700 packages compiled, ${seconds} s`;
    process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#write();
    if (process.stderr.isTTY) process.stderr.write('\n');
  }
}

/** The holder of a lock that was not touched for this long was killed. */
const staleAfterMilliseconds = 60_000;

/** A lock file that its holder touches while it lives. Undefined while somebody else holds it. */
async function tryLock(path: string): Promise<AsyncDisposable | undefined> {
  try {
    await writeFile(path, `${process.pid}\n`, { flag: 'wx' });
  } catch {
    const held = await stat(path).catch(() => undefined);
    if (held !== undefined && Date.now() - held.mtimeMs > staleAfterMilliseconds) await rm(path, { force: true });
    return undefined;
  }
  const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), 10_000);
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(touch);
      await rm(path, { force: true });
    },
  };
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) {
  process.stdout.write(`${join(await build(), 'kubectl')}\n`);
}
