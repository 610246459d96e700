// The state Cleaning: removes the staged files of a run and revokes the access that was granted for it.
import { takeAccessBack } from '../changes/disks.ts';
import type { VirtualMachineCore } from '../core.ts';
import * as history from '../history.ts';
import { processGone } from '../process/record.ts';
import { settleReservations } from '../reserving.ts';
import type { Outcome } from '../situation.ts';

export async function clean(vm: VirtualMachineCore): Promise<Outcome<'Cleaning'>> {
  const { store } = vm;
  const { host } = vm.ports;
  for (const { kind, path } of store.record.acquired) {
    if (kind === 'access') await takeAccessBack(vm, path);
    else await vm.bounded('copy', 'DeleteFileW', () => host.deleteFile(path));
  }
  store.change(processGone, vm.now());
  store.change(history.cleaned, vm.log.excerpt.summary());
  store.clearTrouble('CleanUpFailed', 'StopFailed');
  settleReservations(vm);
  // Nothing waits for this write: later writes come after it, and after a crash, cleaning twice does no harm.
  store.writeLater();
  return { event: 'cleaned', next: { state: 'Idle' } };
}
