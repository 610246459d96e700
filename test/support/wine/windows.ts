// Windows for one run of `npm run test:wine`: starts wine and runs programs on the Windows build of Node. Everything
// ends with the run. Windows programs cannot write to a Linux pipe under wine, so their output goes through files.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  buildLibraries,
  type LibraryPaths,
  linkProject,
  makeBed,
  startWindows,
  type WineBed,
  windowsPath,
  windowsURL,
  wine,
} from './bed.ts';

export interface ProgramOptions {
  /** Replaces the default Node for Windows. */
  readonly node?: string;
  /** The koffi that the program loads; by default that of the work tree. */
  readonly koffi?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Replaces the Windows libraries. Guests are played by the program at this port. */
  readonly guestHostPort?: number;
  /** computecore.dll is then a client of the service of a node at this port. */
  readonly servicePort?: number;
}

export class Windows implements AsyncDisposable {
  readonly bed: WineBed;
  readonly libraries: LibraryPaths;
  /** The folder of this run. */
  readonly folder: string;
  /** The work tree for Windows programs. */
  readonly tree: string;
  /** The folder of listeners for Hyper-V sockets. */
  readonly socketFolder: string;
  readonly #wine: AsyncDisposable;
  readonly #programs = new Set<WindowsProgram>();
  #count = 0;

  private constructor(bed: WineBed, libraries: LibraryPaths, folder: string, running: AsyncDisposable) {
    this.bed = bed;
    this.libraries = libraries;
    this.folder = folder;
    this.tree = join(folder, 'project');
    this.socketFolder = join(folder, 'hvsock');
    this.#wine = running;
  }

  static async start(waiting: () => void): Promise<Windows> {
    const bed = await makeBed();
    const libraries = await buildLibraries(bed);
    const folder = await mkdtemp(join(tmpdir(), 'windows-'));
    const windows = new Windows(bed, libraries, folder, await startWindows(bed, waiting));
    try {
      await mkdir(windows.socketFolder);
      await linkProject(bed, windows.tree);
      return windows;
    } catch (error) {
      await windows[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.kill()));
    await this.#wine[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** @param script a Linux path */
  async start(script: string, parameters: readonly string[], options: ProgramOptions = {}): Promise<WindowsProgram> {
    this.#count += 1;
    const log = join(this.folder, `output-${this.#count}.txt`);
    await using output = await open(log, 'a');
    const preload = options.guestHostPort === undefined ? [] : ['--import', this.doubles];
    const child = spawn(wine, [options.node ?? this.bed.node, ...preload, windowsPath(script), ...parameters], {
      env: this.variables(options),
      stdio: ['ignore', output.fd, output.fd],
    });
    const program = new WindowsProgram(child, log, () => this.#programs.delete(program));
    this.#programs.add(program);
    return program;
  }

  /** The module that replaces Windows libraries with the doubles. */
  get doubles(): string {
    return windowsURL(join(this.tree, 'test/support/wine/loaded-doubles.ts'));
  }

  /** The environment of a program. */
  variables({ koffi, environment, guestHostPort, servicePort }: ProgramOptions): NodeJS.ProcessEnv {
    const ofTree = join(this.tree, 'node_modules/koffi/index.js');
    return {
      ...this.bed.environment,
      UV_THREADPOOL_SIZE: '32',
      HVSOCK_FOLDER: windowsPath(this.socketFolder),
      LCOW_KOFFI: windowsURL(koffi ?? ofTree),
      LCOW_COMPUTECORE: windowsPath(
        servicePort === undefined ? this.libraries.computecore : this.libraries.computecoreClient,
      ),
      LCOW_SERVICE_PORT: String(servicePort ?? 0),
      LCOW_WINSOCK: windowsPath(this.libraries.winsock),
      LCOW_WIN32: windowsPath(this.libraries.win32),
      LCOW_GUEST_HOST_PORT: String(guestHostPort ?? 0),
      ...environment,
    };
  }
}

export class WindowsProgram {
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<number>;

  constructor(child: ChildProcess, log: string, onEnd: () => void) {
    this.#child = child;
    this.#log = log;
    this.#ended = once(child, 'exit').then(([code]) => {
      onEnd();
      return Number(code ?? 1);
    });
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Returns the exit code. Ends a program that takes longer. */
  async ended(milliseconds: number): Promise<number> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), milliseconds);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the program like a power cut. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  output(): Promise<string> {
    return readFile(this.#log, 'utf8');
  }
}
