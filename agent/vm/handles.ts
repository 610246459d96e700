// The handles of a run of which it is not sure how much of it there is: one that is being made, that has to be ended, or
// that has yet to be looked at. A VM that starts or runs has its system and its sockets for sure (`situation.ts`).
import type { ComputeSystem, UnfinishedSystem } from '../node/backend.ts';
import type { GuestRun } from '../run/guest-run.ts';
import type { LiveChanges } from './changes/progress.ts';

export class Handles {
  system: ComputeSystem | undefined;
  /** What HCS gave while it had not confirmed the creation of the system yet. */
  unfinished: UnfinishedSystem | undefined;
  /** HCS refused to create the system because it knows its id: what has it may be a leftover of ours. */
  idIsTaken = false;
  run: GuestRun | undefined;
  /** Of a VM that has run. */
  changes: LiveChanges | undefined;
  /** What became of the disks when the guest was left; undefined before. */
  guestLeft: { readonly text: string | undefined } | undefined;

  constructor(known: Partial<Pick<Handles, 'system' | 'run' | 'changes'>> = {}) {
    this.system = known.system;
    this.run = known.run;
    this.changes = known.changes;
  }
}
