// What of its host a VM uses that must not be another VM's as well (docs/design.md §10): the console pipe and writable disks
// alone, read-only disks and boot files together with others who only read them. Two spellings of one thing have one name.
import { z } from 'zod';
import type { RequestedOptions } from '../../protocol/options.ts';
import { absolutePath } from '../document/windows-paths.ts';
import { MachineFailure } from '../failure.ts';

export const hostResource = z.object({
  kind: z.enum(['pipe', 'file']),
  /** Equal for all spellings. */
  name: z.string(),
  /** Nobody else may use it meanwhile, not even for reading. */
  exclusive: z.boolean(),
  /** As the manifest has it. */
  given: z.string(),
  /** The disk that it is; absent for the console and for boot files. */
  disk: z.string().exactOptional(),
});
export type HostResource = z.infer<typeof hostResource>;

export interface WantedResources {
  readonly requested: RequestedOptions;
  /** Paths of files that the VM boots from. */
  readonly bootFiles: readonly string[];
}

type Disk = NonNullable<RequestedOptions['Disks']>[number];

/** The path that the node opens, through links and short names; undefined when there is nothing to open. */
export type FinalPath = (path: string) => Promise<string | undefined>;

/** Rejects with a `MachineFailure` for a spec that would have to share a file with itself. */
export async function resourcesOf(
  { requested, bootFiles }: WantedResources,
  finalPath: FinalPath,
): Promise<readonly HostResource[]> {
  const [boots, disks] = await Promise.all([
    Promise.all(bootFiles.map(async (path) => bootFile(path, await finalPath(path)))),
    diskResources(requested.Disks ?? [], finalPath),
  ]);
  requireDistinct(boots, disks);
  return [...consoleOf(requested), ...boots, ...disks];
}

export function diskResources(disks: readonly Disk[], finalPath: FinalPath): Promise<readonly HostResource[]> {
  return Promise.all(disks.map(async (disk) => diskFile(disk, await finalPath(disk.path))));
}

/** Throws a `MachineFailure` for two disks that are one file which one of them writes to, and for a boot file as such a disk. */
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

/** Of a VM whose record does not say, by what it was made with: an older agent wrote it. */
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

/** As a field of the manifest. */
export function fieldOf({ disk, kind }: HostResource): string {
  if (kind === 'pipe') return 'console.pipe';
  return disk === undefined ? 'boot' : `storage.disks[${disk}].path`;
}

export function isOfDisk(resource: HostResource, { name, path, readOnly }: Disk): boolean {
  return resource.disk === name && resource.given === path && resource.exclusive === !readOnly;
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

const deviceFolders: ReadonlySet<string> = new Set(['', '..', '?', '??', 'globalroot']);
/** `LOCAL\` leads to the same pipe for a process without a session of its own. */
const pipeFolders: ReadonlySet<string> = new Set([...deviceFolders, 'pipe', 'local', 'device', 'namedpipe']);

function pipeName(pipe: string): string {
  const [first, second, server = '', ...names] = segmentsOf(pipe);
  const isRemote = first === '' && second === '' && !deviceFolders.has(server);
  return withoutLeading(isRemote ? names : segmentsOf(pipe), pipeFolders);
}

function fileName(path: string): string {
  return withoutLeading(segmentsOf(path), deviceFolders);
}

/** The last name stays, whatever it is. */
function withoutLeading(names: readonly string[], dropped: ReadonlySet<string>): string {
  const start = names.findIndex((name) => !dropped.has(name));
  return names.slice(start === -1 ? -1 : start).join('\\');
}

/**
 * Lexically as Windows cleans a path, and in one letter case. What Windows may take for the same is made the same: a VM that
 * waits without need is better than two that write to one file.
 */
function segmentsOf(path: string): readonly string[] {
  return absolutePath(path, 'C:\\').toUpperCase().toLowerCase().split('\\').map(withoutTrailing);
}

/** Windows drops dots and spaces at the end of a name. */
function withoutTrailing(name: string): string {
  let { length } = name;
  while (length > 0 && (name[length - 1] === '..' || name[length - 1] === ' ')) length -= 1;
  return length === 0 ? name : name.slice(0, length);
}
