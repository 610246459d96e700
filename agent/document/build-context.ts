// The input of every section of the document, and the place for results that are not part of the document.
import type { FileFacts, HostFacts } from './facts.ts';
import type { LinuxOptions } from './options.ts';
import type { BootDevice, Effect, VPMemSlot, Warning, WarningCode } from './outcome.ts';

export interface BuildInput {
  readonly options: LinuxOptions;
  readonly host: HostFacts;
  readonly files: FileFacts;
  /** Generates the GUIDs of assigned devices, and of a VM without one: version 4, lower-case. */
  readonly randomGuid: () => string;
  /**
   * Log scrubbing in the guest: true adds ` -scrub-logs`, undefined nothing. False adds ` -scrub-logs=false` as later
   * upstream does. The reference revision has only on and off; its off is undefined here (§6.11).
   */
  readonly scrubLogs?: boolean | undefined;
  readonly switches?: DocumentSwitches | undefined;
}

/** Differences between our agent and the reference revision. With all of them off, the document is the original's. */
export interface DocumentSwitches {
  /** Writes ResourcePartitionId into the ordinary document, as later upstream does. */
  readonly writeResourcePartition?: boolean | undefined;
  /**
   * The VM outlives its agent: the document does not tie the VM to the handle, and the guest's vsockexec relays (`-r`).
   */
  readonly outliveAgent?: boolean | undefined;
}

/** The state of one build. Sections read the input and append their results. No section reads another's results. */
export interface BuildContext extends BuildInput {
  /** After the four-controller rule (§10 step 5). */
  readonly scsiControllerCount: number;
  readonly effects: Effect[];
  readonly warnings: Warning[];
  readonly scsiSlots: { controller: number; lun: number }[];
  readonly vpmemSlots: VPMemSlot[];
  readonly assigned: BootDevice[];
}

export function warn(context: BuildContext, code: WarningCode, message: string): void {
  context.warnings.push({ code, message });
}

/** Marks SCSI controller 0, LUN 0 as taken by the root file system. */
export function reserveRootSlot(context: BuildContext): void {
  context.effects.push({ kind: 'reserve', controller: 0, lun: 0 });
  context.scsiSlots.push({ controller: 0, lun: 0 });
}
