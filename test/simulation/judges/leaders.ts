// Only the holder of the Lease writes (design §6). A leader that could not renew stops early enough for what it has sent
// to arrive before another one leads.
import { isObject } from '../../../crds/structural.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';

const written: readonly string[] = ['LinuxUtilityVM', 'LinuxUtilityVMHost', 'LinuxUtilityVMSet', 'ControllerRevision'];

export class Leaders {
  #holder: string | undefined;

  /** At each write to the API server. Must not be asked where requests may take effect long after they were sent. */
  wrote({ after, before, kind, writer }: Write): void {
    if (kind === 'Lease') {
      const spec = after?.['spec'];
      const holder = isObject(spec) ? spec['holderIdentity'] : undefined;
      if (typeof holder === 'string' && holder !== '') this.#holder = holder;
      return;
    }
    if (!written.includes(kind) || !writer.startsWith('operator-') || writer === this.#holder) return;
    const name = (after ?? before)?.metadata.name;
    throw new BrokenInvariant('only the leader writes', `${writer} writes ${kind} ${name}, and ${this.#holder} leads`);
  }
}
