// Makes the history of a failing seed as short as it can be found: what is left out moves nothing else.
import type { Run } from './simulation.ts';
import { simulate } from './simulation.ts';

export interface Shrunk {
  readonly without: ReadonlySet<string>;
  readonly skipped: ReadonlySet<number>;
  readonly run: Run;
}

/** Leaves out kinds of faults, and then steps, as long as the run still fails in the same way. */
export async function shrink(seed: number, first: Run, mostRuns = 150): Promise<Shrunk> {
  let found: Shrunk = { without: new Set(), skipped: new Set(), run: first };
  let runs = 0;
  const attempt = async (without: ReadonlySet<string>, skipped: ReadonlySet<number>): Promise<boolean> => {
    if (runs >= mostRuns) return false;
    runs += 1;
    const run = await simulate({ seed, without, skipped });
    if (run.failure === undefined || nameOf(run.failure) !== nameOf(first.failure)) return false;
    found = { without, skipped, run };
    return true;
  };
  const kinds = [...first.counts.keys()];
  for (const kind of kinds) await attempt(new Set([...found.without, kind]), found.skipped);
  for (let size = Math.ceil(first.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let start = 0; start < first.steps.length; start += size) {
      const left = Array.from({ length: Math.min(size, first.steps.length - start) }, (_, index) => start + index);
      if (left.every((index) => isLeftOut(first, found, index))) continue;
      await attempt(found.without, new Set([...found.skipped, ...left]));
    }
    if (runs >= mostRuns) break;
  }
  return found;
}

function isLeftOut(first: Run, { skipped, without }: Shrunk, index: number): boolean {
  const step = first.steps[index];
  return step === undefined || skipped.has(index) || without.has(step.kind);
}

/** What failed, without the names and numbers of this history. */
function nameOf(failure: Error | undefined): string {
  return (failure?.message ?? '').split(':')[0]?.replace(/[\d-]+/g, '#') ?? '';
}
