// How long it takes to build a document: options created from defaults and changed, file facts in memory, text
// included. The same run measures JSON.stringify of the parsed golden document, so that figures of different machines
// can be compared.
import { readFileSync } from 'node:fs';
import { buildDocument } from '../../agent/document/build.ts';
import type { FileFact, FileFacts } from '../../agent/document/facts.ts';
import type { BuildOutcome } from '../../agent/document/outcome.ts';
import { type DocumentCase, readCases } from '../golden/document-case.ts';
import { caseHost, caseOptions } from '../golden/document-runner.ts';
import { SimulatedFiles } from '../golden/simulated-files.ts';

/** Golden cases by name, with the promised ratio to JSON.stringify. */
const promised: readonly (readonly [name: string, ratio: number])[] = [
  ['defaults: initrd, kernel direct, VPMem on', 2.8],
  ['vNUMA explicit', 1.9],
  ['SNP standard options', 2.8],
];

const runs = 5;
const slicesPerRun = 100;
const sliceMilliseconds = 3;

export interface DocumentFigure {
  readonly name: string;
  readonly microseconds: number;
  /** The time relative to JSON.stringify of the parsed golden document. */
  readonly ratio: number;
  readonly promisedRatio: number | undefined;
}

export function benchDocuments(): DocumentFigure[] {
  const cases = readCases(readFileSync(new URL('../golden/hcs-documents.json', import.meta.url), 'utf8'));
  const withDocument = cases.filter((testCase) => testCase.documentText !== undefined);
  const figures = promised.map(([name, ratio]) => figure(name, onlyCase(withDocument, name), ratio));
  return [...figures, figure('all documents, interleaved', withDocument, undefined)];
}

function onlyCase(cases: readonly DocumentCase[], name: string): DocumentCase[] {
  const found = cases.filter((testCase) => testCase.name === name);
  if (found.length !== 1) {
    throw new Error(`no golden case named ${name}`);
  }
  return found;
}

function figure(name: string, cases: readonly DocumentCase[], promisedRatio: number | undefined): DocumentFigure {
  const builds = cases.map(buildOf);
  const parsed = cases.map((testCase): unknown => JSON.parse(testCase.documentText ?? ''));
  const times = Array.from({ length: runs + 1 }, () => oneRun(builds, parsed)).slice(1); // The first run warms up.
  return {
    name,
    microseconds: median(times.map(({ build }) => build)),
    ratio: median(times.map(({ build, stringify }) => build / stringify)),
    promisedRatio,
  };
}

/** Alternates short slices of both sides, so that a changing load on the machine affects both. */
function oneRun(builds: readonly (() => BuildOutcome)[], parsed: readonly unknown[]) {
  const slices = Array.from({ length: slicesPerRun }, () => ({
    build: microsecondsPerItem(builds, (build) => build()),
    stringify: microsecondsPerItem(parsed, (document) => JSON.stringify(document)),
  }));
  return {
    build: median(slices.map(({ build }) => build)),
    stringify: median(slices.map(({ stringify }) => stringify)),
  };
}

/** Each build creates its options again and changes the owner, so that no result can be cached. */
function buildOf(testCase: DocumentCase): () => BuildOutcome {
  const files = new FactsInMemory(new SimulatedFiles(testCase.files, testCase.faults));
  const host = caseHost(testCase);
  const scrubLogs = testCase.scrubLogs === true ? true : undefined;
  const options = { Owner: '', ...testCase.options };
  const changedCase = { ...testCase, options };
  let iteration = 0;
  return () => {
    iteration = (iteration + 1) % 1000;
    options.Owner = `owner-${iteration}`;
    return buildDocument({
      options: caseOptions(changedCase, files),
      host,
      files,
      randomGuid: () => '01234567-89ab-4def-8123-456789abcdef',
      scrubLogs,
    });
  };
}

/** File facts as the agent has them when it builds: looked up once before. */
class FactsInMemory implements FileFacts {
  readonly #source: FileFacts;
  readonly #facts = new Map<string, FileFact>();

  constructor(source: FileFacts) {
    this.#source = source;
  }

  stat(path: string): FileFact {
    const known = this.#facts.get(path);
    if (known !== undefined) {
      return known;
    }
    const fact = this.#source.stat(path);
    this.#facts.set(path, fact);
    return fact;
  }
}

function microsecondsPerItem<T>(items: readonly T[], work: (item: T) => unknown): number {
  // Between two readings of the clock there are enough items that the readings do not count.
  const batches = Math.ceil(100 / items.length);
  const start = performance.now();
  let done = 0;
  let elapsed = 0;
  while (elapsed < sliceMilliseconds) {
    for (let batch = 0; batch < batches; batch++) {
      for (const item of items) consume(work(item));
    }
    done += batches * items.length;
    elapsed = performance.now() - start;
  }
  return (elapsed * 1000) / done;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Keeps results reachable, so that the engine cannot skip the work. */
const kept: { last?: unknown } = {};
function consume(result: unknown): void {
  kept.last = result;
}
