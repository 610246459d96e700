// Metrics of the life of VMs, derived from the statuses that were written.
import { Counter, Histogram, type Registry } from 'prom-client';
import { reasons } from '../../protocol/reasons.ts';
import { conditionOf } from '../controller/knowledge/stored-condition.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';

const buckets = [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300];
/** In the order of a boot. */
const bootPhases = ['prepared', 'created', 'started', 'entropy', 'log', 'guestConnected'] as const;

export class LifecycleMetrics {
  readonly #transitions: Counter<'from' | 'to'>;
  readonly #ready: Histogram;
  readonly #boot: Histogram<'phase'>;
  readonly #startFailures: Counter<'reason'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#transitions = new Counter({
      name: 'lcow_phase_transitions_total',
      help: 'Changes of the phase of VMs, as far as they were written.',
      labelNames: ['from', 'to'],
      registers,
    });
    this.#ready = new Histogram({
      name: 'lcow_ready_seconds',
      help: 'From the creation of an object to its VM being ready for the first time.',
      buckets,
      registers,
    });
    this.#boot = new Histogram({
      name: 'lcow_boot_phase_seconds',
      help: 'How long each phase of a boot took, from the end of the one before.',
      labelNames: ['phase'],
      buckets,
      registers,
    });
    this.#startFailures = new Counter({
      name: 'lcow_start_failures_total',
      help: 'Starts of VMs that failed, by reason.',
      labelNames: ['reason'],
      registers,
    });
  }

  written(before: VirtualMachine, after: VirtualMachine, now: number): void {
    const [from, to] = [before.status.phase ?? 'Pending', after.status.phase ?? 'Pending'];
    if (from !== to) this.#transitions.inc({ from, to });
    this.#observeReady(before, after, now);
    if (after.status.startTime !== undefined && after.status.startTime !== before.status.startTime) {
      this.#observeBoot(after);
    }
    const failures = (after.status.startFailure?.count ?? 0) - (before.status.startFailure?.count ?? 0);
    if (failures > 0) this.#startFailures.inc({ reason: reasonOf(after) }, failures);
  }

  #observeReady(before: VirtualMachine, after: VirtualMachine, now: number): void {
    const created = Date.parse(after.metadata.creationTimestamp ?? '');
    const isFirst =
      before.status.startTime === undefined && conditionOf(before.status.conditions, 'Ready')?.status !== 'True';
    if (!isFirst || Number.isNaN(created) || conditionOf(after.status.conditions, 'Ready')?.status !== 'True') return;
    this.#ready.observe(Math.max(0, now - created) / 1000);
  }

  #observeBoot({ status: { bootTimings = {} } }: VirtualMachine): void {
    const passed = bootPhases.flatMap((phase) => {
      const at = Date.parse(bootTimings[phase] ?? '');
      return Number.isNaN(at) ? [] : [{ phase, at }];
    });
    for (const [index, { phase, at }] of passed.entries()) {
      const previous = passed[index - 1];
      if (previous !== undefined) this.#boot.observe({ phase }, Math.max(0, at - previous.at) / 1000);
    }
  }
}

/** An agent of another version may send unknown reasons. They must not become labels without bound. */
function reasonOf({ status }: VirtualMachine): string {
  const reason = conditionOf(status.conditions, 'Ready')?.reason ?? '';
  return reason in reasons ? reason : 'Other';
}
