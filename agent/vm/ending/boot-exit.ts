// How a VM ended that was not up yet, and not by us.
import type { SystemEnd } from '../../node/backend.ts';
import { HcsError, hresult } from '../../node/hcs-error.ts';
import type { VirtualMachineCore } from '../core.ts';
import { toldExit } from '../crash-log.ts';
import * as history from '../history.ts';

/** Rejects when the compute service is gone, and with it what is known of the VM. */
export function noteBootExit(vm: VirtualMachineCore, end: SystemEnd | undefined): void {
  if (end?.kind === 'serviceDisconnected') throw new HcsError('HcsStartComputeSystem', hresult.serviceDisconnect);
  if (end?.kind !== 'exited' || history.hasBootExit(vm.store.record)) return;
  vm.store.change(history.endedWhileBooting, toldExit(vm, end.exit), vm.now());
}
