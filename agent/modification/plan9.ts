// Folders of the host that the guest of a running VM mounts over Plan 9 (hcs-runtime B.6).
import { applyChange, type Change, type ChangeTarget, type HostModification } from './document.ts';

export const plan9Port = 564;
/** The first build that can share individual files of a folder. */
const singleFilesSince = 18362;

const shareFlags = { readOnly: 0x1, linuxMetadata: 0x4, restrictFileAccess: 0x80 } as const;

/** `VirtualMachine/Devices/Plan9/Shares` in HCS. Members without a value are left out. */
export interface Plan9Share {
  readonly name: string;
  readonly accessName: string;
  readonly path?: string;
  readonly port: number;
  readonly flags?: number;
  readonly allowedFiles?: readonly string[];
}

export function plan9Change(requestType: 'Add' | 'Remove' | 'Update', share: Plan9Share): HostModification {
  const { accessName, allowedFiles = [], flags, name, path, port } = share;
  const settings = {
    Name: name || undefined,
    AccessName: accessName || undefined,
    Path: path || undefined,
    Port: port || undefined,
    Flags: flags || undefined,
    AllowedFiles: allowedFiles.length > 0 ? allowedFiles : undefined,
  };
  return { resourcePath: 'VirtualMachine/Devices/Plan9/Shares', requestType, settings };
}

export interface WantedShare {
  readonly hostPath: string;
  readonly guestPath: string;
  readonly readOnly: boolean;
  /** Shares only these files of the folder. */
  readonly onlyFiles?: readonly string[] | undefined;
}

/** A share of a VM. */
export interface MountedShare {
  readonly name: string;
  readonly guestPath: string;
}

export interface SharingPolicy {
  readonly build: number;
  /** `NoWritableFileShares`. */
  readonly refusesWritable: boolean;
}

/** The shares of one VM. */
export class Plan9Shares {
  readonly #policy: SharingPolicy;
  readonly #undoFailed: (error: unknown) => void;
  #nextName = 0;

  constructor(policy: SharingPolicy, undoFailed: (error: unknown) => void) {
    this.#policy = policy;
    this.#undoFailed = undoFailed;
  }

  /** A name is never used twice, not even that of a share that could not be added. */
  async add(wanted: WantedShare, target: ChangeTarget): Promise<MountedShare> {
    this.#check(wanted);
    const name = String(this.#nextName);
    this.#nextName += 1;
    await applyChange(shareAddition(name, wanted), target, this.#undoFailed);
    return { name, guestPath: wanted.guestPath };
  }

  async remove(share: MountedShare, target: ChangeTarget): Promise<void> {
    await applyChange(shareRemoval(share), target, this.#undoFailed);
  }

  #check({ guestPath, onlyFiles, readOnly }: WantedShare): void {
    if (onlyFiles !== undefined && this.#policy.build < singleFilesSince) {
      throw new Error('single-file mappings are not supported on this build of Windows');
    }
    if (guestPath === '') throw new Error('uvmPath must be passed to AddPlan9');
    if (!readOnly && this.#policy.refusesWritable) {
      throw new Error('adding writable shares is denied: operation denied');
    }
  }
}

/** Both parts of a change. When a share is added, HCS is first; when it is removed, the guest is. */
export type ShareChange = Required<Change>;

export function shareAddition(name: string, { guestPath, hostPath, onlyFiles, readOnly }: WantedShare): ShareChange {
  const flags =
    shareFlags.linuxMetadata |
    (readOnly ? shareFlags.readOnly : 0) |
    (onlyFiles === undefined ? 0 : shareFlags.restrictFileAccess);
  const share = { name, accessName: name, path: hostPath, port: plan9Port, flags, allowedFiles: onlyFiles ?? [] };
  const settings = { MountPath: guestPath, Port: plan9Port, ShareName: name, ReadOnly: readOnly };
  return {
    host: plan9Change('Add', share),
    guest: { resourceType: 'MappedDirectory', requestType: 'Add', settings },
  };
}

export function shareRemoval({ guestPath, name }: MountedShare): ShareChange {
  const settings = { MountPath: guestPath, Port: plan9Port, ShareName: name };
  return {
    host: plan9Change('Remove', { name, accessName: name, port: plan9Port }),
    guest: { resourceType: 'MappedDirectory', requestType: 'Remove', settings },
  };
}
