// What every section of the document is built from, and where it leaves what is not document.
import type { FileFacts, HostFacts } from './facts.ts';
import type { LinuxOptions } from './options.ts';
import type { BootDevice, Effect, VPMemSlot, Warning, WarningCode } from './outcome.ts';

export interface BuildInput {
  readonly options: LinuxOptions;
  readonly host: HostFacts;
  readonly files: FileFacts;
  /** Makes the GUIDs of assigned devices, and of the VM when it has none: version 4, lower-case. */
  readonly randomGuid: () => string;
  /**
   * Log scrubbing in the guest: true adds ` -scrub-logs`, undefined nothing. False adds ` -scrub-logs=false` as later upstream
   * does; the revision of the reference knows only on and off, and its off is undefined here (§6.11).
   */
  readonly scrubLogs?: boolean | undefined;
  readonly switches?: DocumentSwitches | undefined;
}

/** Where our agent goes beyond the revision of the reference. All off gives the original's document. */
export interface DocumentSwitches {
  /** Writes ResourcePartitionId into the ordinary document, as later upstream does. */
  readonly writeResourcePartition?: boolean | undefined;
  /** The VM shall outlive its agent: the document does not tie it to the handle, and the guest's vsockexec relays (`-r`). */
  readonly outliveAgent?: boolean | undefined;
}

/** One build under way. Sections read the input and append what they find; nothing here is read back. */
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
