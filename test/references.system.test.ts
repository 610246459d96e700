// References in comments and pages exist: files, sections of documents, anchors. A doc comment is attached to a
// declaration.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const project = fileURLToPath(new URL('../', import.meta.url));
const tracked = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], { cwd: project, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(project, path)));
const read = (path: string) => readFile(join(project, path), 'utf8');

/** Files that were recorded elsewhere, or that describe the past. */
const isForeign = (path: string) => /^(test\/golden\/|CHANGELOG\.md)/.test(path);
const sources = tracked.filter((path) => path.endsWith('.ts') && !isForeign(path));
const pages = tracked.filter((path) => path.endsWith('.md') && !isForeign(path));

/** The page for each short name in comments. */
const numbered = {
  design: 'docs/design.md',
  'hcs-runtime': 'docs/reference/hcs-runtime.md',
  'hcs-documents': 'docs/reference/hcs-documents.md',
} as const;

/** The numbers of all headings: `8`, `A.4`, `12.1`. */
async function sectionsOf(page: string): Promise<ReadonlySet<string>> {
  const text = await read(page);
  return new Set([...text.matchAll(/^#+ (?:§)?([A-Z]?[0-9.]*[A-Z0-9])[. ]/gm)].map(([, number = '']) => number));
}

function* commentsOf(text: string): Generator<string> {
  for (const [comment] of text.matchAll(/\/\*\*?[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n)+/gm)) yield comment;
}

const fileName = /(?<![\w/.*-])((?:[\w.-]+\/)*[\w-]+(?:\.[\w-]+)*\.(?:ts|md))\b/g;
const citation = /\b(design|hcs-runtime|hcs-documents)(?:\.md)? §?([A-Z]?[0-9]+(?:\.[0-9]+)*)(?!\w)/g;
const link = /\]\(([^)\s]+)\)/g;

/** All results of `find` in the files, each with its place. */
async function findings(
  paths: readonly string[],
  find: (text: string, path: string) => Iterable<string>,
): Promise<readonly string[]> {
  const found = await Promise.all(
    paths.map(async (path) => [...find(await read(path), path)].map((what) => `${path}: ${what}`)),
  );
  return found.flat();
}

const firsts = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([, first = '']) => first);

describe('comments', () => {
  it('name existing files', async () => {
    const isThere = (name: string, from: string) =>
      existsSync(join(project, dirname(from), name)) ||
      tracked.some((path) => path === name || path.endsWith(`/${name}`));
    const missing = await findings(sources, (text, path) =>
      firsts([...commentsOf(text)].join('\n'), fileName).filter((name) => !isThere(name, path)),
    );
    expect(missing).toEqual([]);
  });

  it('cite existing sections', async () => {
    const pagesByName = await Promise.all(
      Object.entries(numbered).map(async ([name, page]) => [name, await sectionsOf(page)] as const),
    );
    const sections = new Map(pagesByName);
    const missing = await findings([...sources, ...pages], (text) =>
      [...text.matchAll(citation)]
        .filter(([, name = '', number = '']) => sections.get(name)?.has(number) !== true)
        .map(([whole]) => whole),
    );
    expect(missing).toEqual([]);
  });

  it('describe a declaration: no doc comment follows another one', async () => {
    const stacked = await findings(sources, (text) =>
      [...text.matchAll(/\*\/\s*\n\s*(?=\/\*\*)/g)].map(
        ({ index }) => `line ${text.slice(0, index).split('\n').length}`,
      ),
    );
    expect(stacked).toEqual([]);
  });
});

describe('pages', () => {
  it('link to existing files and headings', async () => {
    const texts = new Map(await Promise.all(pages.map(async (path) => [path, await read(path)] as const)));
    const isThere = (target: string, from: string) => {
      if (/^[a-z]+:/.test(target)) return true;
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? from : posix.normalize(posix.join(posix.dirname(from), file));
      const page = texts.get(path);
      if (anchor !== undefined && page !== undefined) return anchorsOf(page).has(anchor);
      return existsSync(join(project, path));
    };
    const missing = await findings(pages, (text, path) => firsts(text, link).filter((each) => !isThere(each, path)));
    expect(missing).toEqual([]);
  });
});

/** The anchors of headings, and explicit anchors. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = firsts(text, /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
  return new Set([...headings, ...firsts(text, /<a (?:id|name)="([^"]+)"/g)]);
}
