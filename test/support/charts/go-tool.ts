// External programs that judge the charts and the objects: each in a fixed version, built once on each computer with
// modules of the Go module proxy, and run without the user's configuration.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { cacheFolder } from '../cache-folder.ts';

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ToolOptions {
  readonly kubeconfigPath?: string;
  readonly input?: string;
}

/** The folder of a module in this work tree. */
interface ModuleFolder {
  readonly folder: string;
}

export class GoTool {
  readonly #name: string;
  readonly #package: string;
  readonly #origin: string | ModuleFolder;
  #building: Promise<string> | undefined;

  /** `package_` is the path of the program's package; `origin` is the version of its module, or its folder. */
  constructor(name: string, package_: string, origin: string | ModuleFolder) {
    this.#name = name;
    this.#package = package_;
    this.#origin = origin;
  }

  /** The path of the program, which is built if it does not exist yet. */
  path(): Promise<string> {
    this.#building ??= this.#binary();
    return this.#building;
  }

  /** A failure is a result like any other. */
  async run(args: readonly string[], { kubeconfigPath, input = '' }: ToolOptions = {}): Promise<ToolResult> {
    // Nothing of the user's: no plugins, no repositories, no cluster.
    const home = join(cacheFolder, `${this.#name}-home`);
    const env = {
      PATH: process.env['PATH'],
      HOME: home,
      HELM_CACHE_HOME: join(home, 'cache'),
      HELM_CONFIG_HOME: join(home, 'config'),
      HELM_DATA_HOME: join(home, 'data'),
      KUBECONFIG: kubeconfigPath ?? join(home, 'none'),
    };
    const child = spawn(await this.path(), args, { env, stdio: 'pipe' });
    // The program may end without reading its input.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: Number(code ?? 1), stdout, stderr };
  }

  /** Built in a temporary folder first, so that concurrent builds never show a partial file. */
  async #binary(): Promise<string> {
    const version = typeof this.#origin === 'string' ? this.#origin : await digestOf(this.#origin);
    const cached = join(cacheFolder, `${this.#name}-${version}`, this.#name);
    if (await exists(cached)) return cached;
    await mkdir(dirname(cached), { recursive: true });
    const unfinished = await mkdtemp(join(cacheFolder, `${this.#name}-unfinished-`));
    try {
      await this.#install(unfinished, version);
      await rename(join(unfinished, this.#installedAs()), cached);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return cached;
  }

  async #install(folder: string, version: string): Promise<void> {
    const began = Date.now();
    const say = () => {
      const seconds = Math.round((Date.now() - began) / 1000);
      process.stderr.write(`building ${this.#name} ${version} (a few minutes, once): ${seconds} s\n`);
    };
    say();
    const progress = setInterval(say, 30_000);
    try {
      const [target, cwd] =
        typeof this.#origin === 'string' ? [`${this.#package}@${version}`] : [this.#package, this.#origin.folder];
      const args = ['install', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', target];
      const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' };
      const child = spawn('go', args, { env, cwd, stdio: ['ignore', 'ignore', 'pipe'] });
      const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
      if (code !== 0) throw new Error(`go install of ${this.#name} failed:\n${said.split('\n').slice(-20).join('\n')}`);
    } finally {
      clearInterval(progress);
    }
  }

  /**
   * Go names a program after the folder of its package, or after the parent folder if the folder is a major version.
   */
  #installedAs(): string {
    const folder = basename(this.#package);
    return /^v\d+$/.test(folder) ? basename(dirname(this.#package)) : folder;
  }
}

async function digestOf({ folder }: ModuleFolder): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).sort())
    hash.update(`${name}\n`).update(await readFile(join(folder, name)));
  return hash.digest('hex').slice(0, 16);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
