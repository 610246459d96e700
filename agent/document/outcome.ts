// The result of a build: data only. The caller carries out the effects; the builder never touches the host.
import type { LinuxOptions } from './options.ts';
import type { ComputeSystem } from './schema.ts';

/**
 * One action on the host, in order. If it fails, the build has failed with `errorPrefix` + the system's text, and the
 * files of `undo` are deleted in that order (docs/reference/hcs-documents.md §7.1). `undo` does not include what the
 * failed action left behind.
 */
export type Effect =
  /** Copies a file, replacing an existing target. */
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
  /** Reserves a SCSI slot that the boot uses: run-time attachments must not use it. */
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

/** Ends a build. The message is the original's. */
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
  | 'WritableOverlayIgnored'
  | 'KernelCommandLineCut'
  | 'KernelCommandLineMisread'
  | 'TooManyInitArguments';

export interface Warning {
  readonly code: WarningCode;
  readonly message: string;
}

/** A VPMem slot that is used at boot (§6.8). Later look-ups use guest path and file name as keys. */
export interface VPMemSlot {
  readonly slot: number;
  /**
   * `packed`: several files may share the device, and this one is its first mapping. `plain`: the device holds this
   * file only.
   */
  readonly kind: 'packed' | 'plain';
  /** Quirk: only the file name, not the path. */
  readonly hostPath: string;
  readonly guestPath: string;
  /** Bytes allocated from a packed device. */
  readonly sizeInBytes?: number;
}

export interface BootDevice {
  /** The random GUID of the device on the VM bus. */
  readonly vmbusGuid: string;
  readonly deviceInstanceID: string;
  readonly virtualFunctionIndex: number;
}

/** The devices that the VM has from boot on. Run-time changes start from these. */
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
      /** The exact text that is sent to HCS. */
      readonly text: string;
      /** After clamping, signed 32 bits (§4). */
      readonly processorCount: number;
      /** After rounding (§4). */
      readonly memorySizeInMB: bigint;
    }
  | { readonly kind: 'error'; readonly code: DocumentErrorCode; readonly message: string };

export interface BuildOutcome {
  /** An error can have effects, too: the original stages files before it finds a bad policy. */
  readonly effects: readonly Effect[];
  readonly result: BuildResult;
  readonly warnings: readonly Warning[];
  readonly devices: BootDevices;
  /** The options as the original leaves them (quirk 12). Building again from these repeats flags. */
  readonly optionsAfter: LinuxOptions;
  /** Deleted when the VM is closed, and therefore after any failure, staged or not (§10, quirk 11). */
  readonly removeOnClose: readonly string[];
}
