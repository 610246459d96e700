// The import rules of the layout (docs/decisions/0001-layout.md): imports point one way, and two libraries have one
// folder each. Read from the sources themselves.
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../', import.meta.url));
const folders = ['crds', 'runtime', 'protocol', 'operator', 'agent', 'simulator', 'kubectl'];

/** What the files of a folder may import of the project besides its own files. The most specific folder counts. */
const projectImports: Readonly<Record<string, readonly string[]>> = {
  crds: [],
  protocol: ['crds'],
  operator: ['crds', 'protocol'],
  agent: ['crds', 'protocol'],
  'agent/document': [],
  // The plugin reaches the operator by the API server only: of both programs it knows what they say, not how they work.
  kubectl: ['crds', 'protocol'],
};

/** Packages that only these folders or files may import. */
const packageHomes: Readonly<Record<string, readonly string[]>> = {
  koffi: ['agent/windows/computecore/computecore.ts', 'agent/windows'],
  '@kubernetes/client-node': ['operator/kubernetes', 'kubectl/cluster.ts'],
};

/** Packages that a folder may import; absent = any but those with a home elsewhere. */
const allowedPackages: Readonly<Record<string, readonly string[]>> = {
  crds: ['zod', 'yaml'],
  'agent/document': ['zod'],
};

interface Import {
  readonly from: string;
  readonly target: string;
}

let imports: readonly Import[] = [];

beforeAll(async () => {
  const files = await Promise.all(folders.map((folder) => sourceFiles(join(project, folder))));
  imports = (await Promise.all(files.flat().map(importsOf))).flat();
});

async function sourceFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith('.ts')).map((e) => join(e.parentPath, e.name));
}

async function importsOf(file: string): Promise<Import[]> {
  const text = await readFile(file, 'utf8');
  const from = slashes(relative(project, file));
  const statements = text.matchAll(
    /^(?:import|export)\s[\w$*{},\s]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const target = specifier.startsWith('.')
      ? slashes(relative(project, resolve(dirname(file), specifier)))
      : specifier;
    return { from, target };
  });
}

function slashes(path: string): string {
  return path.split(sep).join('/');
}

function within(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** The most specific key that the file is in. */
function ruleFor<T>(rules: Readonly<Record<string, T>>, file: string): { folder: string; rule: T } | undefined {
  const keys = Object.keys(rules).filter((key) => within(file, key));
  const folder = keys.sort((a, b) => b.length - a.length)[0];
  const rule = folder === undefined ? undefined : rules[folder];
  return folder === undefined || rule === undefined ? undefined : { folder, rule };
}

const isOurs = ({ target }: Import) => folders.some((folder) => within(target, folder)) || target.startsWith('test/');
const isBuiltIn = ({ target }: Import) => target.startsWith('node:');
const show = ({ from, target }: Import) => `${from} imports ${target}`;

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(300);
    expect(imports.some(({ target }) => target === 'zod')).toBe(true);
  });

  it('point one way: crds ← protocol ← operator, agent, kubectl', () => {
    const wrong = imports.filter(isOurs).filter(({ from, target }) => {
      const found = ruleFor(projectImports, from);
      return found === undefined || ![found.folder, ...found.rule].some((folder) => within(target, folder));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('reach native code and the Kubernetes client in one place each', () => {
    const wrong = imports.filter(({ from, target }) => {
      const homes = Object.entries(packageHomes).find(([name]) => within(target, name))?.[1];
      return homes !== undefined && !homes.some((home) => within(from, home));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('keep the schemas and the document builder free of other packages', () => {
    const wrong = imports.filter((each) => {
      const found = ruleFor(allowedPackages, each.from);
      return found !== undefined && !isOurs(each) && !isBuiltIn(each) && !found.rule.includes(each.target);
    });
    expect(wrong.map(show)).toEqual([]);
  });
});
