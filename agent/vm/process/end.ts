// The end of a VM's process, which ends the VM.
import type { VirtualMachineCore } from '../core.ts';
import * as history from '../history.ts';
import { processChanged } from './record.ts';
import type { ProcessEvent } from './state.ts';

/** @param detail the guest's words about the end */
export function endVM(vm: VirtualMachineCore, event: ProcessEvent, detail?: string): void {
  vm.store.change(processChanged, event, vm.now());
  vm.store.change(history.processEnded, vm.ports, detail);
  vm.ports.logger.info({ process: vm.store.record.process, detail }, 'the process of the VM has ended');
  vm.listener.changed();
}
