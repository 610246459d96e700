// One part of the bench: what it measures, which can be measured alone.
import type { PartResult } from '../report/results.ts';
import type { FleetSizes } from '../sizes.ts';

export type Figures = Pick<PartResult, 'setting' | 'measures' | 'plots'>;
export type Measured = Figures & Pick<PartResult, 'processorSeconds'>;

export interface Part {
  readonly name: string;
  readonly title: string;
  /** `say` takes lines about the progress. */
  run(sizes: FleetSizes, say: (line: string) => void): Promise<Measured>;
}

export const patience = {
  /** For VMs that are created, changed or deleted together. */
  machines: 600_000,
  /** For agents that connect together. */
  agents: 300_000,
} as const;

export function names(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}
