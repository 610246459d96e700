// What a build gives back: data only. The caller carries the effects out; the builder never touches the host.
import type { LinuxOptions } from './options.ts';
import type { ComputeSystem } from './schema.ts';

/**
 * One thing to do on the host, in order. If it fails, the build has failed with `errorPrefix` + the system's text, and the files
 * of `undo` are deleted in that order (docs/reference/hcs-documents.md §7.1); a failed effect's own leftovers are not among them.
 */
export type Effect =
  /** Copies, replacing an older target. */
  | {
      readonly kind: 'copy';
      readonly from: string;
      readonly to: string;
      readonly errorPrefix: string;
      readonly undo: readonly string[];
    }
  /** Gives the VM group `access` on a file (§7.4). */
  | {
      readonly kind: 'grant';
      readonly path: string;
      readonly access: number;
      readonly errorPrefix: string;
      readonly undo: readonly string[];
    }
  /** Takes a SCSI slot at boot: run-time attachments must not use it. */
  | { readonly kind: 'reserve'; readonly controller: number; readonly lun: number };

export type DocumentErrorCode =
  | 'InvalidOptions'
  | 'BootFileNotFound'
  | 'BootFileUnreadable'
  | 'BootFileSize'
  | 'HostProcessorQuery'
  | 'CpuGroupUnsupported'
  | 'InvalidNuma'
  | 'DuplicateDevice'
  | 'MissingDmVerityArgs'
  | 'NoScsiController'
  | 'InvalidGuid'
  | 'RootTypeWithSnp'
  | 'InvalidSecurityPolicy';

/** Ends a build. The message is the original's text. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';
  readonly code: DocumentErrorCode;

  constructor(code: DocumentErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export type WarningCode =
  | 'MemoryRounded'
  | 'ProcessorCountLowered'
  | 'IncompleteImplicitNuma'
  | 'IncompleteExplicitNuma'
  | 'WritableOverlayIgnored';

export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
}

/** A VPMem slot taken at boot (§6.8). Guest path and file name are what later look-ups use as keys. */
export interface VPMemSlot {
  readonly slot: number;
  /** `packed`: several files may share the device, this one is its first mapping; `plain`: the device is this file. */
  readonly kind: 'packed' | 'plain';
  /** Quirk: the file name alone, not the path. */
  readonly hostPath: string;
  readonly guestPath: string;
  /** Bytes allocated from the device, for a packed one. */
  readonly sizeInBytes?: number;
}

export interface BootDevice {
  /** The random GUID under which the device hangs on the VM bus. */
  readonly vmbusGuid: string;
  readonly deviceInstanceID: string;
  readonly virtualFunctionIndex: number;
}

/** What the VM has from boot on; run-time changes start from here. */
export interface BootDevices {
  /** After the four-controller rule (§10 step 5). */
  readonly scsiControllerCount: number;
  readonly scsiSlots: readonly { readonly controller: number; readonly lun: number }[];
  readonly vpmemSlots: readonly VPMemSlot[];
  readonly assigned: readonly BootDevice[];
}

export type BuildResult =
  | {
      readonly kind: 'document';
      readonly document: ComputeSystem;
      /** The exact text for HCS. */
      readonly text: string;
      /** After clamping, signed 32 bits (§4). */
      readonly processorCount: number;
      /** After rounding (§4). */
      readonly memorySizeInMB: bigint;
    }
  | { readonly kind: 'error'; readonly code: DocumentErrorCode; readonly message: string };

export interface BuildOutcome {
  /** Also an error has effects: the original stages files before it finds a bad policy. */
  readonly effects: readonly Effect[];
  readonly result: BuildResult;
  readonly warnings: readonly Warning[];
  readonly devices: BootDevices;
  /** The options as the original leaves them (quirk 12): building from these repeats flags. */
  readonly optionsAfter: LinuxOptions;
  /** Deleted when the VM is closed, so also after any failure, staged or not (§10, quirk 11). */
  readonly removeOnClose: readonly string[];
}
