// The packages that compiled code imports, with their dependencies and nothing else: no build tools, no second Node.
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
  /** Such as `node_modules/a/node_modules/b`. */
  readonly path: string;
  readonly name: string;
}

/** Installs the locked packages for the program's platform into `folder`. No package's scripts run. */
export async function installPackages(project: string, { os, cpu }: Program, folder: string): Promise<void> {
  for (const file of ['package.json', 'package-lock.json', '.npmrc']) {
    await copyFile(join(project, file), join(folder, file));
  }
  const flags = ['--omit=dev', '--ignore-scripts', `--os=${os}`, `--cpu=${cpu}`, '--no-audit', '--no-fund'];
  await run('npm', ['ci', ...flags], { cwd: folder, maxBuffer: 16 << 20 });
}

/** Names of the packages that the JavaScript in `folder` imports. */
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

/** The named packages and their dependencies, as far as they are installed below `folder`. */
export async function closureOf(names: readonly string[], folder: string): Promise<readonly LockedPackage[]> {
  const { packages } = lockFile.parse(JSON.parse(await readFile(join(folder, 'package-lock.json'), 'utf8')));
  const found = new Map<string, LockedPackage>();
  const waiting = names.map((name) => ({ name, from: '' }));
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const path = candidates(next.name, next.from).find((candidate) => candidate in packages);
    // The lock file lists optional packages of other platforms, which are not installed.
    if (path === undefined || found.has(path) || !(await exists(join(folder, path)))) continue;
    const locked = lockedPackage.parse(packages[path]);
    found.set(path, { ...locked, path, name: next.name });
    const needed = Object.keys({ ...locked.dependencies, ...locked.optionalDependencies });
    waiting.push(...needed.filter(isForRunning).map((name) => ({ name, from: path })));
  }
  return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Type packages are needed only by compilers. */
const isForRunning = (name: string) => !name.startsWith('@types/');

/** The places where Node looks for a package, innermost first. */
function candidates(name: string, from: string): readonly string[] {
  const steps = from === '' ? [] : from.split('/node_modules/');
  const parents = steps.map((_, index) => `${steps.slice(0, steps.length - index).join('/node_modules/')}/`);
  return [...parents, ''].map((parent) => `${parent}node_modules/${name}`);
}

/** File extensions that no program reads at run time. */
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
/** Files that must accompany a copy, whatever their extension. */
const legal = /^(licen[cs]e|copying|notice)/i;

const isNeeded = (file: string) => !surplus.has(extname(file)) || legal.test(basename(file));

/** Copies one package without the packages inside it, which are listed separately. */
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
