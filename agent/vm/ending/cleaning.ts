// The state Cleaning: what was staged and granted for a run is taken back.
import { takeAccessBack } from '../changes/disks.ts';
import type { VirtualMachineCore } from '../core.ts';
import * as history from '../history.ts';
import { settleReservations } from '../reserving.ts';
import type { Outcome } from '../situation.ts';

export async function clean(vm: VirtualMachineCore): Promise<Outcome<'Cleaning'>> {
  const { store } = vm;
  const { host } = vm.ports;
  for (const { kind, path } of store.record.acquired) {
    if (kind === 'access') await takeAccessBack(vm, path);
    else await vm.bounded('copy', 'DeleteFileW', () => host.deleteFile(path));
  }
  store.change(history.cleaned, vm.log.excerpt.summary());
  store.clearTrouble('CleanUpFailed', 'StopFailed');
  settleReservations(vm);
  // Whatever comes next is written after it, and cleaning again does no harm.
  void store.tryWrite();
  return { event: 'cleaned', next: { state: 'Idle' } };
}
