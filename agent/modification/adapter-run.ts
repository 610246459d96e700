// The adapters of one running VM, as the executor of adapters uses them (agent/network/adapter/ports.ts): documents for
// HCS, and messages for the guest.
import type { AdapterRun } from '../network/adapter/ports.ts';
import { HcsError } from '../node/hcs-error.ts';
import { applyChange, type ChangeTarget } from './document.ts';
import { type AdapterGuest, addAdapter, removeAdapter } from './network-adapters.ts';

/** The errors of HCS when what is to be removed is not there: E_INVALIDARG, ERROR_NOT_FOUND. */
const nothingThere: ReadonlySet<number> = new Set([0x8007_0057, 0x8007_0490]);

/** @param configure runs programs in the guest */
export function adapterRun(target: ChangeTarget, guest: AdapterGuest, configure: AdapterRun['configure']): AdapterRun {
  return {
    configure,
    // An adapter that was left behind in HCS is removed before the next addition.
    add: (adapterId, endpoint) => applyChange(addAdapter(adapterId, endpoint, guest), target, () => undefined),
    async remove(adapterId, endpoint) {
      try {
        await applyChange(removeAdapter(adapterId, endpoint, guest), target, () => undefined);
      } catch (error) {
        if (!isNothingThere(error)) throw error;
      }
    },
  };
}

function isNothingThere(error: unknown): boolean {
  if (error instanceof HcsError) return nothingThere.has(error.hresult);
  return error instanceof Error && isNothingThere(error.cause);
}
