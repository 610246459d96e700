// The resources of the host that a VM must not share (docs/design.md §10): the console pipe and writable disks
// exclusively; read-only disks and boot files together with other readers. No VM uses a file below a folder that a VM
// can write to as a share. Different spellings of a resource get the same name.
import { z } from 'zod';
import type { RequestedOptions } from '../../protocol/options.ts';
import { absolutePath } from '../document/windows-paths.ts';
import { MachineFailure } from '../failure.ts';

export const hostResource = z.object({
  /** `folder`: shared writable with the VM. VMs may share one folder. */
  kind: z.enum(['pipe', 'file', 'folder']),
  /** Equal for all spellings. */
  name: z.string(),
  /** Nobody else may use the resource meanwhile, not even for reading. */
  exclusive: z.boolean(),
  /** As spelled in the manifest. */
  given: z.string(),
  /** The disk that the resource is; absent for the console and for boot files. */
  disk: z.string().exactOptional(),
  /** The share that the folder is. */
  share: z.string().exactOptional(),
});
export type HostResource = z.infer<typeof hostResource>;

export interface WantedResources {
  readonly requested: RequestedOptions;
  /** Paths of files that the VM boots from. */
  readonly bootFiles: readonly string[];
}

type Disk = NonNullable<RequestedOptions['Disks']>[number];
type Share = NonNullable<RequestedOptions['Shares']>[number];

/** The path that the node opens, with links and short names resolved; undefined when there is nothing to open. */
export type FinalPath = (path: string) => Promise<string | undefined>;

/** Rejects with a `MachineFailure` for a spec that would have to share a file with itself. */
export async function resourcesOf(
  { requested, bootFiles }: WantedResources,
  finalPath: FinalPath,
): Promise<readonly HostResource[]> {
  const [boots, disks, shares] = await Promise.all([
    Promise.all(bootFiles.map(async (path) => bootFile(path, await finalPath(path)))),
    diskResources(requested.Disks ?? [], finalPath),
    shareResources(requested.Shares ?? [], finalPath),
  ]);
  requireDistinct(boots, disks);
  requireOutside([...boots, ...disks], shares);
  return [...consoleOf(requested), ...boots, ...disks, ...shares];
}

export function diskResources(disks: readonly Disk[], finalPath: FinalPath): Promise<readonly HostResource[]> {
  return Promise.all(disks.map(async (disk) => diskFile(disk, await finalPath(disk.path))));
}

/** The folders that are shared writable. A folder that is only read needs no reservation. */
export function shareResources(shares: readonly Share[], finalPath: FinalPath): Promise<readonly HostResource[]> {
  const writable = shares.filter(({ readOnly }) => !readOnly);
  return Promise.all(writable.map(async (share) => sharedFolder(share, await finalPath(share.path))));
}

/** Throws a `MachineFailure` when the VM uses a file below a folder that it shares writable. */
export function requireOutside(files: readonly HostResource[], folders: readonly HostResource[]): void {
  for (const folder of folders) {
    const file = files.find(({ name }) => isBelowFolder(name, folder.name));
    if (file === undefined) continue;
    refuse(
      `${fieldOf(folder)} contains ${fieldOf(file)}, so the guest could write to that file: share another folder, or make the share readOnly`,
    );
  }
}

/** Both are names of resources. */
export function isBelowFolder(file: string, folder: string): boolean {
  return file.startsWith(`${folder}\\`);
}

/**
 * Throws a `MachineFailure` when two disks are the same file and one of them writes to it, or when a writable disk is a
 * boot file.
 */
export function requireDistinct(boots: readonly HostResource[], disks: readonly HostResource[]): void {
  const booted = new Set(boots.map(({ name }) => name));
  const seen = new Map<string, HostResource>();
  for (const disk of disks) {
    const other = seen.get(disk.name);
    if (other !== undefined && (disk.exclusive || other.exclusive)) {
      refuse(`${fieldOf(disk)} is the same file as ${fieldOf(other)}: leave one of them out, or make both readOnly`);
    }
    if (disk.exclusive && booted.has(disk.name)) {
      refuse(`${fieldOf(disk)} is a file that the VM boots from: it can only be read`);
    }
    seen.set(disk.name, disk);
  }
}

function refuse(message: string): never {
  throw new MachineFailure('InvalidOptions', message);
}

/**
 * The resources of a VM whose record does not list them because an older agent wrote it. Derived from the configuration
 * of the boot.
 */
export function resourcesOfRun(
  requested: RequestedOptions,
  bootFiles: readonly string[],
  disks: readonly Disk[],
): readonly HostResource[] {
  return [
    ...consoleOf(requested),
    ...bootFiles.map((path) => bootFile(path, undefined)),
    ...disks.map((disk) => diskFile(disk, undefined)),
  ];
}

/** The resource's field in the manifest. */
export function fieldOf({ disk, kind, share }: HostResource): string {
  if (kind === 'pipe') return 'console.pipe';
  if (share !== undefined) return `fileShares.shares[${share}].path`;
  return disk === undefined ? 'boot' : `storage.disks[${disk}].path`;
}

export function isOfDisk(resource: HostResource, { name, path, readOnly }: Disk): boolean {
  return resource.disk === name && resource.given === path && resource.exclusive === !readOnly;
}

export function isOfShare(resource: HostResource, { name, path, readOnly }: Share): boolean {
  return resource.share === name && resource.given === path && !readOnly;
}

function consoleOf({ ConsolePipe: pipe = '' }: RequestedOptions): readonly HostResource[] {
  return pipe === '' ? [] : [{ kind: 'pipe', name: pipeName(pipe), exclusive: true, given: pipe }];
}

function bootFile(path: string, found: string | undefined): HostResource {
  return { kind: 'file', name: fileName(found ?? path), exclusive: false, given: path };
}

export function diskFile({ name, path, readOnly }: Disk, found: string | undefined): HostResource {
  return { kind: 'file', name: fileName(found ?? path), exclusive: !readOnly, given: path, disk: name };
}

export function sharedFolder({ name, path }: Share, found: string | undefined): HostResource {
  const folder = fileName(found ?? path);
  // A drive ends in a separator, other folders do not.
  const shared = folder.endsWith('\\') ? folder.slice(0, -1) : folder;
  return { kind: 'folder', name: shared, exclusive: false, given: path, share: name };
}

const deviceFolders: ReadonlySet<string> = new Set(['', '.', '?', '??', 'globalroot']);
/** `LOCAL\` leads to the same pipe for a process outside any session. */
const pipeFolders: ReadonlySet<string> = new Set([...deviceFolders, 'pipe', 'local', 'device', 'namedpipe']);

function pipeName(pipe: string): string {
  const [first, second, server = '', ...names] = segmentsOf(pipe);
  const isRemote = first === '' && second === '' && !deviceFolders.has(server);
  return withoutLeading(isRemote ? names : segmentsOf(pipe), pipeFolders);
}

function fileName(path: string): string {
  return withoutLeading(segmentsOf(path), deviceFolders);
}

/** Keeps the last name, whatever it is. */
function withoutLeading(names: readonly string[], dropped: ReadonlySet<string>): string {
  const start = names.findIndex((name) => !dropped.has(name));
  return names.slice(start === -1 ? -1 : start).join('\\');
}

/**
 * Cleans the path lexically as Windows does and folds its case. Spellings that Windows may treat as the same become the
 * same: a VM that waits needlessly is better than two that write to one file.
 */
function segmentsOf(path: string): readonly string[] {
  return absolutePath(path, 'C:\\').toUpperCase().toLowerCase().split('\\').map(withoutTrailing);
}

/** Windows drops dots and spaces at the end of a name. */
function withoutTrailing(name: string): string {
  let { length } = name;
  while (length > 0 && (name[length - 1] === '.' || name[length - 1] === ' ')) length -= 1;
  return length === 0 ? name : name.slice(0, length);
}
