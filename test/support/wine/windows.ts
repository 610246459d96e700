// Windows for one run of `npm run test:wine`: wine is started, programs run on the Windows build of Node, and all of it
// ends with the run. Windows programs cannot write to a Linux pipe under wine: their output goes through files.
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
  /** Another Node for Windows than the bed's. */
  readonly node?: string;
  /** The koffi that the program loads; the one of the work tree if absent. */
  readonly koffi?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** The libraries of Windows are replaced, with this port as where guests are played. */
  readonly guestHostPort?: number;
  /** With them, computecore.dll is a client of the service of a node, which is reached at this port. */
  readonly servicePort?: number;
}

export class Windows implements AsyncDisposable {
  readonly bed: WineBed;
  readonly libraries: LibraryPaths;
  /** Of this run. */
  readonly folder: string;
  /** The work tree as Windows programs get it. */
  readonly tree: string;
  /** Where listeners for Hyper-V sockets are found. */
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

  /** The module that puts the doubles in the place of libraries of Windows. */
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

  /** The exit code; a program that takes longer is ended. */
  async ended(milliseconds: number): Promise<number> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), milliseconds);
    try {
      return await this.#ended;
    } finally {
      clearTimeout(timer);
    }
  }

  /** As a power cut for the program. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  output(): Promise<string> {
    return readFile(this.#log, 'utf8');
  }
}
