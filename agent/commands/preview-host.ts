// The host description of `lcow-agent document --host`: the facts that the builder would gather on a real host.
import { parse } from 'yaml';
import { z } from 'zod';
import type { DefaultsHost } from '../document/defaults.ts';
import type { FileFact, FileFacts, HostFacts } from '../document/facts.ts';
import { absolutePath, joinPath } from '../document/windows-paths.ts';
import { ownerTag } from '../node/system-id.ts';

const currentDirectory = 'C:\\';
const stateFolder = 'C:\\ProgramData\\lcow';

const size = z.int().min(0);

const hostFile = z.strictObject({
  architecture: z.enum(['amd64', 'arm64']).default('amd64'),
  build: z.int().min(0).max(0xffff),
  logicalProcessors: z.int().min(1).max(0xffff_ffff),
  bootFilesPath: z.string().default('C:\\LinuxBootFiles'),
  /** Absent: the folder that the agent gives each VM. */
  bundleDirectory: z.string().optional(),
  owner: z.string().default(ownerTag),
  /** Path to size in bytes. Every existing file is listed. */
  files: z.record(z.string(), z.union([size, z.looseObject({ size }).transform((file) => file.size)])).nullish(),
  // Only a simulated node uses these (simulator/host-file.ts); documents do not depend on them.
  memoryInMB: z.unknown().optional(),
  numaNodes: z.unknown().optional(),
  isolation: z.unknown().optional(),
  links: z.unknown().optional(),
  hns: z.unknown().optional(),
  timing: z.unknown().optional(),
  script: z.unknown().optional(),
});

export interface PreviewHost {
  readonly defaults: DefaultsHost;
  readonly facts: HostFacts;
  readonly files: FileFacts;
  readonly owner: string;
  readonly bundleDirectory: (uid: string) => string;
}

export function parsePreviewHost(text: string): PreviewHost {
  const host = hostFile.parse(parse(text));
  const { architecture, build, logicalProcessors, bundleDirectory } = host;
  return {
    defaults: {
      architecture,
      build,
      visibleProcessors: logicalProcessors,
      bootFolder: host.bootFilesPath,
      currentDirectory,
    },
    facts: { architecture, build, processors: { kind: 'known', logicalProcessors } },
    files: describedFiles(host.files ?? {}),
    owner: host.owner,
    bundleDirectory: (uid) => bundleDirectory ?? joinPath(stateFolder, 'vms', uid),
  };
}

/** Letter case does not matter. A folder exists when a file lies below it. */
function describedFiles(sizes: Readonly<Record<string, number>>): FileFacts {
  const facts = new Map<string, FileFact>();
  for (const [path, size] of Object.entries(sizes)) {
    const key = absolutePath(path, currentDirectory).toLowerCase();
    facts.set(key, { kind: 'file', size });
    for (const folder of foldersAbove(key)) facts.set(folder, { kind: 'folder' });
  }
  return { stat: (path) => facts.get(path.toLowerCase()) ?? { kind: 'notFound' } };
}

function foldersAbove(path: string): string[] {
  const names = path.split('\\');
  return names.slice(1).map((_, index) => joinPath(`${names.slice(0, index + 1).join('\\')}\\`));
}
