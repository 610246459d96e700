// The imports of the files in the work tree, read from their sources.
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const project = fileURLToPath(new URL('../../', import.meta.url));

const statement =
  /^(?:import|export)\s(?!type\s)[\w$*{},\s]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

const known = new Map<string, readonly string[]>();

/**
 * Files by their path from the project's root; packages and built-in modules by their name. Type imports are left out.
 */
export function importsOf(file: string): readonly string[] {
  const imports = known.get(file) ?? readImports(resolve(project, file));
  known.set(file, imports);
  return imports;
}

function readImports(path: string): string[] {
  return [...readFileSync(path, 'utf8').matchAll(statement)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    return specifier.startsWith('.') ? fromRoot(resolve(dirname(path), specifier)) : specifier;
  });
}

/** For everything that a program loads: the chain of imports from the program to it. */
export function loadedBy(file: string): Map<string, readonly string[]> {
  const found = new Map<string, readonly string[]>([[file, [file]]]);
  // A Map also iterates over entries that are added during the iteration.
  for (const [each, way] of found) {
    if (!each.endsWith('.ts')) continue;
    for (const target of importsOf(each)) if (!found.has(target)) found.set(target, [...way, target]);
  }
  return found;
}

export function fromRoot(path: string): string {
  return relative(project, path).split(sep).join('/');
}
