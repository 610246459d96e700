// Metrics of the traces that are sent to a collector.
import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import { beginning } from '../../runtime/beginning.ts';
import type { TraceObserver, WhyDropped } from '../traces/exporter.ts';

const shownCharacters = 256;

export class TraceMetrics implements TraceObserver {
  readonly #exported: Counter;
  readonly #dropped: Counter<'why'>;
  readonly #logger: Logger;

  constructor(registry: Registry, logger: Logger) {
    const registers = [registry];
    this.#logger = logger;
    this.#exported = new Counter({
      name: 'lcow_traces_exported_total',
      help: 'Traces of boots and rollouts that the collector took.',
      registers,
    });
    this.#dropped = new Counter({
      name: 'lcow_traces_dropped_total',
      help: 'Traces that were dropped: too many waited (overflow), or the collector refused them or did not answer.',
      labelNames: ['why'],
      registers,
    });
  }

  exported(trees: number): void {
    this.#exported.inc(trees);
  }

  dropped(trees: number, why: WhyDropped, error = ''): void {
    this.#dropped.inc({ why }, trees);
    const line = { traces: trees, why, error: beginning(error, shownCharacters) };
    // A full queue drops one trace after another.
    if (why === 'overflow') this.#logger.debug(line, 'traces were dropped');
    else this.#logger.warn(line, 'traces were dropped');
  }
}
