// External programs that judge the charts and the objects: each in a fixed version, built once on each computer from
// the Go module proxy, and run without the user's configuration.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
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

export class GoTool {
  readonly #name: string;
  readonly #package: string;
  readonly #version: string;
  #building: Promise<string> | undefined;

  /** `package_` is the path of the program's package, whose module has `version`. */
  constructor(name: string, package_: string, version: string) {
    this.#name = name;
    this.#package = package_;
    this.#version = version;
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
    const cached = join(cacheFolder, `${this.#name}-${this.#version}`, this.#name);
    if (await exists(cached)) return cached;
    await mkdir(dirname(cached), { recursive: true });
    const unfinished = await mkdtemp(join(cacheFolder, `${this.#name}-unfinished-`));
    try {
      await this.#install(unfinished);
      await rename(join(unfinished, this.#installedAs()), cached);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return cached;
  }

  async #install(folder: string): Promise<void> {
    const began = Date.now();
    const say = () => {
      const seconds = Math.round((Date.now() - began) / 1000);
      process.stderr.write(`building ${this.#name} ${this.#version} (a few minutes, once): ${seconds} s\n`);
    };
    say();
    const progress = setInterval(say, 30_000);
    try {
      const args = ['install', '-trimpath', '-ldflags=-s -w', `${this.#package}@${this.#version}`];
      const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' };
      const child = spawn('go', args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
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

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
