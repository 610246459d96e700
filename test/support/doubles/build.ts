// Builds the native doubles (one folder of C sources each) with gcc, once for each version of their sources, outside
// the work tree. As a program (`node test/support/doubles/build.ts`) it builds all of them and prints their paths.
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../cache-folder.ts';

export const doubles = ['computecore', 'computecore-client', 'computenetwork', 'winsock', 'win32'] as const;
export type DoubleName = (typeof doubles)[number];

/** Sources that a double shares with another one. */
const shared: Readonly<Partial<Record<DoubleName, readonly string[]>>> = {
  'computecore-client': [
    'double.h',
    'operation.c',
    'platform.h',
    'script.c',
    'strict.c',
    'system.c',
    'text.c',
    'text.h',
  ].map((file) => `../computecore/${file}`),
  computenetwork: ['double.h', 'platform.h', 'script.c', 'text.c', 'text.h'].map((file) => `../computecore/${file}`),
};

export interface BuildOptions {
  /** Names to define in the preprocessor. */
  readonly define?: readonly string[];
}

/** `nodelete`, because threads may return through the library while Node unloads it at its end. */
const flags = [
  ...['-std=c11', '-D_GNU_SOURCE', '-O2', '-Wall', '-Wextra', '-Werror'],
  ...['-shared', '-fPIC', '-pthread', '-fvisibility=hidden', '-Wl,-z,nodelete'],
];

/** Returns the path of the library. Builds it if these sources were not built before. */
export async function buildDouble(name: DoubleName, options: BuildOptions = {}): Promise<string> {
  const folder = fileURLToPath(new URL(`./${name}/`, import.meta.url));
  const own = (await readdir(folder)).filter((file) => /\.[ch]$/.test(file)).sort();
  const files = [...own, ...(shared[name] ?? [])];
  const arguments_ = [...flags, ...(options.define ?? []).map((each) => `-D${each}`)];
  const library = join(cacheFolder, `double-${name}-${await digest(folder, files, arguments_)}.so`);
  if (await exists(library)) return library;
  await mkdir(cacheFolder, { recursive: true });
  // The library appears complete or not at all, so an interrupted or concurrent build does no harm.
  const unfinished = `${library}.${randomUUID()}`;
  const sources = files.filter((file) => file.endsWith('.c')).map((file) => join(folder, file));
  try {
    await promisify(execFile)('gcc', [...arguments_, '-o', unfinished, ...sources]);
    await rename(unfinished, library);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
  return library;
}

async function digest(folder: string, files: readonly string[], arguments_: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update(`${process.arch}\n${arguments_.join(' ')}\n`);
  for (const file of files) hash.update(`${file}\n`).update(await readFile(join(folder, file)));
  return hash.digest('hex').slice(0, 16);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

if (import.meta.main) {
  for (const name of doubles) process.stdout.write(`${await buildDouble(name)}\n`);
}
