// Whether all that differs in a life is documented.
import type { Comparison, Difference } from './comparison.ts';
import { rules } from './rules.ts';

export interface Judgement {
  readonly verdict: 'equal' | 'documented' | 'unexplained';
  /** Points of the documentation that explain something here. */
  readonly points: ReadonlySet<string>;
  readonly unexplained: readonly Difference[];
  /** Points that explain something here and are documented nowhere. */
  readonly undocumented: readonly string[];
  /** Why it could not be played to its end. */
  readonly failure?: string;
}

export function judge(comparison: Comparison, documented: ReadonlyMap<string, string>): Judgement {
  const unexplained: Difference[] = [];
  const points = new Set<string>();
  for (const difference of comparison.differences) {
    const rule = rules.find(({ explains }) => explains(difference, comparison));
    if (rule === undefined) unexplained.push(difference);
    else points.add(rule.point);
  }
  const undocumented = [...points].filter((point) => !documented.has(point));
  const isExplained = unexplained.length === 0 && undocumented.length === 0;
  const verdict = comparison.differences.length === 0 ? 'equal' : isExplained ? 'documented' : 'unexplained';
  return { verdict, points, unexplained, undocumented };
}

/** Of a life that could not be played to its end. */
export function unplayed(error: unknown): Judgement {
  const failure = error instanceof Error ? error.message : String(error);
  return { verdict: 'unexplained', points: new Set(), unexplained: [], undocumented: [], failure };
}
