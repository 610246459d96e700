// Metrics of LinuxUtilityVMSets, derived from the statuses that were written.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { conditionOf } from '../controller/knowledge/stored-condition.ts';
import type { MachineSet, VirtualMachine } from '../kubernetes/objects.ts';
import type { Rollout } from '../traces/rollout.ts';

const buckets = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
/** A rollout whose beginning was forgotten is not measured. */
const remembered = 10_000;

const states = ['desired', 'existing', 'ready', 'available', 'updated'] as const;

export class SetMetrics {
  readonly #rollouts: Histogram;
  readonly #liveChanges: Counter<'result'>;
  /** When rollouts that this replica saw began, by uid of the set. */
  readonly #began = new Map<string, number>();

  constructor(registry: Registry, sets: () => Iterable<MachineSet>) {
    const registers = [registry];
    this.#rollouts = new Histogram({
      name: 'lcow_set_rollout_seconds',
      help: 'From a change of the template of a set to every VM having it.',
      buckets,
      registers,
    });
    this.#liveChanges = new Counter({
      name: 'lcow_set_live_changes_total',
      help: 'Changes of VMs of sets without a restart, by result: applied or restart_required.',
      labelNames: ['result'],
      registers,
    });
    new Gauge({
      name: 'lcow_set_replicas',
      help: 'VMs of LinuxUtilityVMSets by state: desired, existing, ready, available or updated.',
      labelNames: ['state'],
      registers,
      collect() {
        for (const state of states) this.set({ state }, 0);
        for (const { spec, status } of sets()) {
          this.inc({ state: 'desired' }, spec.ok ? spec.value.replicas : 0);
          this.inc({ state: 'existing' }, status.replicas ?? 0);
          this.inc({ state: 'ready' }, status.readyReplicas ?? 0);
          this.inc({ state: 'available' }, status.availableReplicas ?? 0);
          this.inc({ state: 'updated' }, status.updatedReplicas ?? 0);
        }
      },
    });
  }

  /** Returns the rollout that has ended with this write. */
  written(before: MachineSet, { metadata, status }: MachineSet, now: number): Rollout | undefined {
    const { uid } = metadata;
    const { updateRevision } = before.status;
    if (updateRevision !== undefined && updateRevision !== status.updateRevision) this.#begin(uid, now);
    const began = this.#began.get(uid);
    if (began === undefined || conditionOf(status.conditions, 'Ready')?.status !== 'True') return undefined;
    this.#began.delete(uid);
    this.#rollouts.observe(Math.max(0, now - began) / 1_000);
    return { began, ended: now };
  }

  machineWritten(before: VirtualMachine, after: VirtualMachine): void {
    const [was, is] = [before.status, after.status];
    const isSameRun = was.startTime === is.startTime && was.phase === 'Running' && is.phase === 'Running';
    if (was.readyRevision === undefined || !isSameRun) return;
    if (is.readyRevision !== was.readyRevision) this.#liveChanges.inc({ result: 'applied' });
    else if (needsRestart(after) && !needsRestart(before)) this.#liveChanges.inc({ result: 'restart_required' });
  }

  #begin(uid: string, now: number): void {
    this.#began.delete(uid);
    this.#began.set(uid, now);
    for (const oldest of this.#began.keys()) {
      if (this.#began.size <= remembered) return;
      this.#began.delete(oldest);
    }
  }
}

function needsRestart({ status }: VirtualMachine): boolean {
  return conditionOf(status.conditions, 'RestartRequired')?.status === 'True';
}
