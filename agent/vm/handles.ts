// The handles of a run that may exist only in part: while it is created, ended, or examined after a start of the agent.
// A VM that starts or runs has its system and its sockets for certain (`situation.ts`).
import type { ComputeSystem, UnfinishedSystem } from '../node/backend.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { LiveChanges } from './changes/progress.ts';

export class Handles {
  system: ComputeSystem | undefined;
  /** The handle that HCS returned before it confirmed the creation of the system. */
  unfinished: UnfinishedSystem | undefined;
  /** HCS refused the creation because a system with this id exists. That system may be a leftover of the agent. */
  idIsTaken = false;
  run: GuestRun | undefined;
  /** Present when the VM was Running. */
  changes: LiveChanges | undefined;
  /** The result of the stop ladder for the disks; undefined before the stop ladder has ended. */
  guestLeft: { readonly text: string | undefined } | undefined;

  constructor(known: Partial<Pick<Handles, 'system' | 'run' | 'changes'>> = {}) {
    this.system = known.system;
    this.run = known.run;
    this.changes = known.changes;
  }
}
