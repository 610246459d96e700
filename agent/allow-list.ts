// What a spec may name on the host. Whoever may create a VM in a namespace must not get the host's files through the agent,
// which runs as SYSTEM: paths only below allowed folders, pipes and assigned devices only by name (design §8).
import type { RequestedOptions } from '../protocol/options.ts';
import { absolutePath } from './document/windows-paths.ts';
import { MachineFailure } from './failure.ts';

export interface AllowList {
  /** Folders below which every path of a spec must lie. */
  readonly paths: readonly string[];
  /** Named pipes; a final `*` stands for any ending. */
  readonly pipes: readonly string[];
  /** Device instance ids; a final `*` stands for any ending. */
  readonly devices: readonly string[];
}

const currentDirectory = 'C:\\';

/** Throws a `MachineFailure` that names the field and the flag that would allow it. */
export function requireAllowed(requested: RequestedOptions, allowed: AllowList): void {
  const paths = [
    ['boot.filesPath', requested.BootFilesPath] as const,
    ...(requested.Disks ?? []).map(({ name, path }) => [`storage.disks[${name}].path`, path] as const),
  ];
  for (const [field, path] of paths) {
    if (path !== undefined && !allowed.paths.some((folder) => isBelow(path, folder))) {
      const folders = allowed.paths.join(', ');
      refuse('PathNotAllowed', `${field}: ${path} is not below an allowed folder (${folders}); see --allowed-path`);
    }
  }
  const pipe = requested.ConsolePipe ?? '';
  if (pipe !== '' && !matchesAny(pipe, allowed.pipes)) {
    refuse('PathNotAllowed', `console.pipe: the agent of this host does not allow ${pipe}; see --allowed-pipe`);
  }
  for (const { deviceInstanceID } of requested.AssignedDevices ?? []) {
    if (!matchesAny(deviceInstanceID, allowed.devices)) {
      refuse(
        'DeviceNotAllowed',
        `devices.assigned: the agent of this host does not allow ${deviceInstanceID}; see --allowed-device`,
      );
    }
  }
}

function refuse(reason: 'PathNotAllowed' | 'DeviceNotAllowed', message: string): never {
  throw new MachineFailure(reason, message);
}

/** Lexically: `..` is resolved and letter case does not matter, as Windows has it. */
function isBelow(path: string, folder: string): boolean {
  const [inner, outer] = [path, folder].map((each) => absolutePath(each, currentDirectory).toLowerCase());
  if (inner === undefined || outer === undefined) return false;
  return inner === outer || inner.startsWith(outer.endsWith('\\') ? outer : `${outer}\\`);
}

function matchesAny(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => {
    const [given, wanted] = [name.toLowerCase(), pattern.toLowerCase()];
    return wanted.endsWith('*') ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
  });
}
