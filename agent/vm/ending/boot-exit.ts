// Notes how a VM ended that ended by itself before its guest was up.
import type { SystemEnd } from '../../node/backend.ts';
import { HcsError, hresult } from '../../node/hcs-error.ts';
import type { VirtualMachineCore } from '../core.ts';
import { toldExit } from '../crash-log.ts';
import * as history from '../history.ts';

/** Throws when the compute service is gone: then the state of the VM is unknown. */
export function noteBootExit(vm: VirtualMachineCore, end: SystemEnd | undefined): void {
  if (end?.kind === 'serviceDisconnected') throw new HcsError('HcsStartComputeSystem', hresult.serviceDisconnect);
  if (end?.kind !== 'exited' || history.hasBootExit(vm.store.record)) return;
  vm.store.change(history.endedWhileBooting, toldExit(vm, end.exit), vm.now());
}
