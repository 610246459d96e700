// Compiles TypeScript to JavaScript: an entry and its imports, in the same folders, so that relative paths stay valid.
import { execFile } from 'node:child_process';
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export async function compile(project: string, entries: readonly string[], output: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'compile-'));
  try {
    const configuration = join(folder, 'tsconfig.json');
    await writeFile(configuration, JSON.stringify(settings(project, entries, output)));
    await run(process.execPath, [join(project, 'node_modules/typescript/bin/tsc'), '--project', configuration]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  for (const file of await javaScriptIn(output)) await rewriteUrls(join(output, file));
}

/** Paths relative to `folder`. */
export async function javaScriptIn(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const path of glob('**/*.js', { cwd: folder, exclude: (name) => name === 'node_modules' }))
    found.push(path);
  return found;
}

function settings(project: string, entries: readonly string[], output: string) {
  return {
    extends: join(project, 'tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      // `npm run check` checks the types, of all files at once.
      noCheck: true,
      rootDir: project,
      outDir: output,
      typeRoots: [join(project, 'node_modules/@types')],
    },
    files: entries.map((entry) => join(project, entry)),
    // Overrides the `include` of the project's tsconfig.
    include: [],
  };
}

/** The compiler rewrites the extension in imports, but not in `new URL`. */
async function rewriteUrls(path: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const rewritten = text.replaceAll(/(new URL\('\.{1,2}\/[^']+)\.ts'(, import\.meta\.url\))/g, "$1.js'$2");
  if (rewritten !== text) await writeFile(path, rewritten);
}
