// The packages that compiled code imports, with what those need in turn, and nothing else: no build tools, no second Node.
import { execFile } from 'node:child_process';
import { access, copyFile, cp, readFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { javaScriptIn } from './compile.ts';
import type { Program } from './programs.ts';

const run = promisify(execFile);

const lockedPackage = z.looseObject({
  version: z.string(),
  license: z.string().optional(),
  integrity: z.string().optional(),
  dependencies: z.record(z.string(), z.string()).default({}),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
});
const lockFile = z.object({ packages: z.record(z.string(), z.unknown()) });

export interface LockedPackage extends z.infer<typeof lockedPackage> {
  /** `node_modules/a/node_modules/b`. */
  readonly path: string;
  readonly name: string;
}

/** Installs what the lock file says for the program's platform into `folder`. No script of a package runs. */
export async function installPackages(project: string, { os, cpu }: Program, folder: string): Promise<void> {
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    await copyFile(join(project, file), join(folder, file));
  }
  const flags = ['--omit=dev', '--ignore-scripts', `--os=${os}`, `--cpu=${cpu}`, '--no-audit', '--no-fund'];
  await run('npm', ['ci', ...flags], { cwd: folder, maxBuffer: 16 << 20 });
}

/** Names of packages that the JavaScript of `folder` imports. */
export async function importedPackages(folder: string): Promise<readonly string[]> {
  const names = new Set<string>();
  for (const file of await javaScriptIn(folder)) {
    const text = await readFile(join(folder, file), 'utf8');
    for (const [, specifier = ''] of text.matchAll(/(?:\bfrom|^import|\bimport\()\s*'([^'.][^']*)'/gm)) {
      if (!specifier.startsWith('node:')) names.add(packageName(specifier));
    }
  }
  return [...names].sort();
}

function packageName(specifier: string): string {
  const [first = '', second = ''] = specifier.split('/');
  return first.startsWith('@') ? `${first}/${second}` : first;
}

/** The named packages and what they depend on, as far as it is installed below `folder`. */
export async function closureOf(names: readonly string[], folder: string): Promise<readonly LockedPackage[]> {
  const { packages } = lockFile.parse(JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8')));
  const found = new Map<string, LockedPackage>();
  const waiting = names.map((name) => ({ name, from: '' }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const path = candidates(next.name, next.from).find((candidate) => candidate in packages);
    // Optional packages of other platforms are in the lock file and not installed.
    if (path === undefined || found.has(path) || !(await exists(join(folder, path)))) continue;
    const locked = lockedPackage.parse(packages[path]);
    found.set(path, { ...locked, path, name: next.name });
    const needed = Object.keys({ ...locked.dependencies, ...locked.optionalDependencies });
    waiting.push(...needed.filter(isForRunning).map((name) => ({ name, from: path })));
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Types are for compilers. */
const isForRunning = (name: string) => !name.startsWith('@types/');

/** Where a package is looked for, innermost first. */
function candidates(name: string, from: string): readonly string[] {
  const steps = from === '' ? [] : from.split('/node_modules/');
  const parents = steps.map((_, index) => `${steps.slice(0, steps.length - index).join('/node_modules/')}/`);
  return [...parents, ''].map((parent) => `${parent}node_modules/${name}`);
}

/** What no program reads at run time, by extension. */
const surplus: ReadonlySet<string> = new Set([
  '.ts',
  '.mts',
  '.cts',
  '.map',
  '.md',
  '.cc',
  '.cpp',
  '.hh',
  '.h',
  '.inc',
  '.S',
]);
/** What has to go with a copy, whatever its extension. */
const legal = /^(licen[cs]e|copying|notice)/i;

const isNeeded = (file: string) => !surplus.has(extname(file)) || legal.test(basename(file));

/** Copies one package without the packages inside it, which are listed on their own. */
export async function copyPackage({ path }: LockedPackage, from: string, to: string): Promise<void> {
  const source = join(from, path);
  const nested = join(source, 'node_modules');
  await cp(source, join(to, path), {
    recursive: true,
    filter: (file) => file !== nested && isNeeded(file),
  });
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
