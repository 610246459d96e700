// Every regular expression of the programs, found in their syntax trees, takes time in proportion to its input.
// Outsiders choose the input of nearly all of them, and one slow expression stopped an agent for minutes. Patterns of
// the CRD run in the API server, whose engine is always linear.
import { execFile } from 'node:child_process';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type { Node, SourceFile } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isIdentifier,
  isNewExpression,
  isNoSubstitutionTemplateLiteral,
  isPropertyAccessExpression,
  isRegularExpressionLiteral,
  isStringLiteral,
  isTemplateExpression,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { threadTime } from './support/thread-time.ts';

const project = fileURLToPath(new URL('../', import.meta.url));
const folders = ['crds', 'runtime', 'protocol', 'sets', 'annotations', 'operator', 'agent', 'simulator', 'kubectl'];

/** Expressions that are created at run time: what each looks like, by its file and its source. */
const madeLater: Readonly<Record<string, RegExp>> = {
  // A path with every character escaped.
  'agent/document/windows-paths.ts: `^${literal}$`': /^C:\\folder\\file\.vhd$/iu,
  // A pattern of the CRD, for a text of bounded length. This is the longest one.
  "crds/spec-problems.ts: source.replace(ignoreCase, '')":
    /[\\/](con|prn|aux|nul|conin[$]|conout[$]|(com|lpt)[0-9¹²³]) *([.][^\\/]*)?([\\/]|$)/i,
};

interface Found {
  readonly where: string;
  readonly pattern: RegExp;
}

interface Sources {
  readonly files: number;
  /** Regular expression literals. */
  readonly written: readonly Found[];
  /** Places that create an expression from a text. */
  readonly made: readonly { readonly file: string; readonly where: string }[];
}

function readSources(): Sources {
  const api = new API({ cwd: project });
  try {
    const opening = { openProjects: [resolve(project, 'tsconfig.json')] };
    const [opened] = api.updateSnapshot(opening).getProjects();
    const names = opened?.rootFiles.filter((file) => folders.includes(relative(project, file).split('/')[0] ?? ''));
    const files = (names ?? []).flatMap((file) => opened?.program.getSourceFile(file) ?? []);
    const nodes = files.flatMap((file) => nodesOf(file).map((node) => ({ node, file })));
    const where = (node: Node, file: SourceFile) => `${relative(project, file.fileName)}: ${node.getText(file)}`;
    return {
      files: files.length,
      written: nodes.flatMap(({ file, node }) =>
        isRegularExpressionLiteral(node) ? [{ where: where(node, file), pattern: fromLiteral(node.text) }] : [],
      ),
      made: nodes.flatMap(({ file, node }) => {
        const text = textOfRegularExpression(node);
        return text === undefined ? [] : [{ file: file.fileName, where: where(text, file) }];
      }),
    };
  } finally {
    api.close();
  }
}

function nodesOf(node: Node): Node[] {
  const nodes = [node];
  node.forEachChild((child) => {
    nodes.push(...nodesOf(child));
  });
  return nodes;
}

function fromLiteral(literal: string): RegExp {
  const end = literal.lastIndexOf('/');
  return new RegExp(literal.slice(1, end), literal.slice(end + 1));
}

const methodsThatTakeTexts = ['match', 'matchAll', 'search'];

/** The text from which a node creates a regular expression; undefined if it creates none. */
function textOfRegularExpression(node: Node): Node | undefined {
  if (!isNewExpression(node) && !isCallExpression(node)) return undefined;
  const { expression } = node;
  const [text] = node.arguments ?? [];
  if (isIdentifier(expression) && expression.text === 'RegExp') return text;
  const takesText = isPropertyAccessExpression(expression) && methodsThatTakeTexts.includes(expression.name.text);
  return takesText &&
    text !== undefined &&
    (isStringLiteral(text) || isNoSubstitutionTemplateLiteral(text) || isTemplateExpression(text))
    ? text
    : undefined;
}

/**
 * The expressions that a module creates while it is loaded. A separate program reports them through its own `RegExp`.
 */
async function madeAtLoading(file: string): Promise<readonly RegExp[]> {
  const program = `
    const [, file] = process.argv, made = [], Original = RegExp;
    let isLooking = false;
    globalThis.RegExp = new Proxy(Original, { construct(target, parameters) {
      const pattern = new target(...parameters);
      if (!isLooking) {
        isLooking = true;
        if (new Error().stack.includes(file)) made.push({ source: pattern.source, flags: pattern.flags });
        isLooking = false;
      }
      return pattern;
    } });
    await import(file);
    process.stdout.write(JSON.stringify(made));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program, file]);
  return z
    .array(z.object({ source: z.string(), flags: z.string() }))
    .parse(JSON.parse(stdout))
    .map(({ flags, source }) => new RegExp(source, flags));
}

let sources: Sources;
const all: Found[] = [];
const unknown: string[] = [];

beforeAll(async () => {
  sources = readSources();
  all.push(...sources.written);
  for (const { file, where } of sources.made) {
    const later = madeLater[where];
    const patterns = later === undefined ? await madeAtLoading(file) : [later];
    if (patterns.length === 0) unknown.push(where);
    all.push(...patterns.map((pattern) => ({ where, pattern })));
  }
}, 120_000);

const size = 96 * 1024;
/** A measurement can include a garbage collection, so it is repeated. */
const attempts = 3;
/** The mildest of the slow expressions: quadratic, and only after the right beginning. */
const mildlySlow = /^x\d*\d*y/;
/**
 * What an expression may take: a third of what the mildest slow one takes on this machine. A linear expression takes a
 * few milliseconds, that one some hundreds.
 */
const allowedMilliseconds = shortestOf(() => timeOf(mildlySlow, `x${'0'.repeat(size / 4)}!`)) / 3;

/** The shortest time of some attempts, of which no more are made than are needed to get below `enough`. */
function shortestOf(measure: () => number, enough = 0): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < attempts && shortest > enough; attempt += 1) shortest = Math.min(shortest, measure());
  return shortest;
}
const anything = [
  ' ',
  '\n',
  '\t',
  '0',
  '9',
  'a',
  'Z',
  '_',
  '.',
  '-',
  '/',
  '\\',
  '"',
  ':',
  ',',
  '!',
  '\0',
  '\u2028',
  'é',
];

function charactersOf(pattern: RegExp, samples: readonly string[]): readonly string[] {
  return [...new Set([...pattern.source, ...samples.join(''), ...anything])];
}

/** Matching texts, with which an input gets past the beginning of the expression. */
function samplesOf(pattern: RegExp): readonly string[] {
  // Generating one for each character of a wide class would take minutes.
  if (/\\p\{|\\u\{/.test(pattern.source)) return [];
  const plain = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
  try {
    return fc.sample(fc.stringMatching(plain), { numRuns: 4, seed: 1 }).map((text) => text.slice(0, 60));
  } catch {
    // Unicode properties and look-behind cannot be generated.
    return [];
  }
}

/** The processor time for finding all matches. */
function timeOf(pattern: RegExp, input: string): number {
  const global = new RegExp(pattern.source, pattern.flags.includes('g') ? pattern.flags : `${pattern.flags}g`);
  const before = threadTime();
  input.replace(global, '');
  return threadTime() - before;
}

/** The length grows, so that an expression that would take a year is noticed at an input that takes a second. */
function worstOf(pattern: RegExp, make: (length: number) => string): number {
  for (const length of [16, 20, 24, 28, 1024, 8 * 1024, 32 * 1024]) {
    const time = timeOf(pattern, make(length));
    if (time > allowedMilliseconds) return Number.POSITIVE_INFINITY;
  }
  return shortestOf(() => timeOf(pattern, make(size)), allowedMilliseconds);
}

/** The beginning of a match, then one character repeated, then another character or the rest. */
function pumped(pattern: RegExp, samples: readonly string[], characters: readonly string[]): string | undefined {
  for (const sample of samples) {
    for (let index = 1; index <= sample.length; index += Math.max(1, Math.floor(sample.length / 6))) {
      const near = [sample[index - 1] ?? '', sample[index] ?? '', ' ', '0', 'a', '.'].filter((each) => each !== '');
      for (const character of new Set(near.filter((each) => characters.includes(each)))) {
        const make = (length: number) =>
          `${sample.slice(0, index)}${character.repeat(Math.ceil(length / 4))}!${sample.slice(index)}`;
        if (worstOf(pattern, make) > allowedMilliseconds)
          return `${JSON.stringify(sample.slice(0, index))}, then ${JSON.stringify(character)} many times`;
      }
    }
  }
  return undefined;
}

function slowInput(pattern: RegExp): string | undefined {
  const samples = samplesOf(pattern);
  const characters = charactersOf(pattern, samples);
  for (const character of characters) {
    const make = (length: number) => `${character.repeat(length)}\u{1}`;
    if (worstOf(pattern, make) > allowedMilliseconds) return `${JSON.stringify(character)} many times`;
  }
  return pumped(pattern, samples, characters);
}

describe('the regular expressions of the programs', () => {
  it('are all known, including those that are created from texts', () => {
    expect(sources.files).toBeGreaterThan(300);
    expect(sources.written.length).toBeGreaterThan(60);
    expect(sources.made.length).toBeGreaterThan(5);
    expect(unknown).toEqual([]);
  });

  it('take time in proportion to their input', { timeout: 300_000 }, () => {
    const slow: string[] = [];
    for (const { pattern, where } of all) {
      const input = slowInput(pattern);
      if (input !== undefined) slow.push(`${where} takes too long for ${input}`);
    }
    expect(slow).toEqual([]);
  });

  it.each([
    ['at the beginning of a line', /^\s*exec_external\s*:=/m],
    ['at the end of a text', /\s+$/],
    ['with nested repeats', /^(?:a+)+$/],
    ['with two repeats of the same character', mildlySlow],
    ['with a beginning at any position', /[\w-]+@/],
  ])('would fail this test if one did not: %s', (_, pattern) => {
    expect(slowInput(pattern)).toBeDefined();
  });
});
