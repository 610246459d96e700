// Writes the results of a pass over a VM: the operator's finalizer, and the status that follows from the decisions.
import { finalizer } from '../../crds/linux-utility-vm.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import type { Result } from '../queue/result.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import { nextStatus, type StatusInputs, scheduledVerdict } from './status/status.ts';
import type { StatusWriter, Written } from './status/status-writer.ts';

export interface MachineWritesOptions {
  readonly client: ResourceClient<VirtualMachine>;
  readonly machines: VirtualMachines;
  readonly inventory: Inventory;
  readonly writer: StatusWriter;
  readonly clock: Clock;
}

/** Members that are left out stay unchanged. */
export type Decided = Partial<
  Pick<StatusInputs, 'nodeName' | 'scheduled' | 'blocked' | 'references' | 'rest' | 'unproven' | 'evicting'>
>;

/** The object to continue with, or the result with which the pass ends. */
export type Continued = VirtualMachine | { readonly result: Result };

export class MachineWrites {
  readonly #options: MachineWritesOptions;

  constructor(options: MachineWritesOptions) {
    this.#options = options;
  }

  /** The finalizer is added before the host, so that a deletion waits for everything that is started. */
  async hold(object: VirtualMachine): Promise<Continued> {
    if (isHeld(object)) return object;
    const { client, machines, writer } = this.#options;
    const outcome = await client.patchFinalizers(object, [...(object.metadata.finalizers ?? []), finalizer]);
    if (!outcome.ok) return { result: await writer.refused(object, outcome.error) };
    machines.remember(outcome.value);
    return outcome.value;
  }

  status(object: VirtualMachine, decided: Decided): Promise<Written> {
    const { inventory, clock, writer } = this.#options;
    const nodeName = 'nodeName' in decided ? decided.nodeName : object.status.nodeName;
    const next = nextStatus({
      object,
      nodeName,
      scheduled: decided.scheduled ?? scheduledVerdict(object, nodeName),
      report: nodeName === undefined ? undefined : inventory.reportOf(nodeName, object.metadata.uid),
      disconnected: nodeName !== undefined && inventory.untilDisconnected(nodeName) === 0,
      blocked: decided.blocked,
      references: decided.references,
      terminating: undefined,
      rest: decided.rest,
      evicting: decided.evicting,
      end: leavingEnd(object, nodeName, inventory),
      unproven: decided.unproven === true,
      now: clock.now(),
    });
    return writer.write(object, next);
  }
}

/** The VM has the operator's finalizer. */
export function isHeld({ metadata }: VirtualMachine): boolean {
  return metadata.finalizers?.includes(finalizer) === true;
}

/** How the VM ended on its host. This may not have been written before the VM was gone. */
function leavingEnd({ metadata, status }: VirtualMachine, nodeName: string | undefined, inventory: Inventory) {
  const left = nodeName === undefined ? status.nodeName : undefined;
  return left === undefined ? undefined : inventory.endOf(left, metadata.uid);
}
