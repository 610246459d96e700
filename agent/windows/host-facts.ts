// The facts of this Windows host, for the operator's placement and the document builder. Read again each time: memory
// and processors can change while a host runs.
import { readdir, stat } from 'node:fs/promises';
import { arch, cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import type { HostFacts } from '../../protocol/messages.ts';
import type { HostTopology } from './computecore/documents.ts';

export interface HostFactSources {
  readonly topology: () => Promise<HostTopology>;
  /** Declared by the administrator, because nothing on the host tells reliably. */
  readonly isolation: HostFacts['isolation'];
  readonly environment: NodeJS.ProcessEnv;
  /** argv[0] of the process. */
  readonly program: string;
}

const bytesPerMebibyte = 2 ** 20;
/** Most file names of one boot folder in the message to the operator. */
const largestFolder = 256;

export async function hostFacts(sources: HostFactSources): Promise<HostFacts> {
  const memoryInMB = Math.floor(totalmem() / bytesPerMebibyte);
  const topology = await sources.topology().catch(() => visibleProcessors());
  return {
    osBuild: buildNumber(release()),
    architecture: arch() === 'arm64' ? 'arm64' : 'amd64',
    logicalProcessors: topology.logicalProcessorCount,
    memoryInMB,
    numaNodes: numaNodes(topology, memoryInMB),
    isolation: sources.isolation,
    bootFiles: [await bootFolder(sources)],
  };
}

/** "10.0.20348" → 20348; 0 for any other format. */
export function buildNumber(version: string): number {
  const build = Number(version.split('.')[2]);
  return Number.isInteger(build) && build >= 0 && build <= 0xffff ? build : 0;
}

/** Without HCS: the processors that this process sees. With several processor groups these are not all. */
function visibleProcessors(): HostTopology {
  const logicalProcessorCount = cpus().length;
  return { logicalProcessorCount, processorsOfNode: new Map([[0, logicalProcessorCount]]) };
}

/** HCS reports a node's processors but not its memory, so each node counts with an even share. */
function numaNodes({ processorsOfNode }: HostTopology, memoryInMB: number): HostFacts['numaNodes'] {
  const nodes = [...processorsOfNode].sort(([a], [b]) => a - b).slice(0, 64);
  const share = Math.floor(memoryInMB / Math.max(nodes.length, 1));
  return nodes.map(([number, logicalProcessors]) => ({ number, logicalProcessors, memoryInMB: share }));
}

/** The original's default folder (hcs-documents §2.2). */
async function bootFolder({ environment, program }: HostFactSources): Promise<HostFacts['bootFiles'][number]> {
  const beside = join(dirname(program), 'LinuxBootFiles');
  const path = (await exists(beside))
    ? beside
    : join(environment['ProgramFiles'] ?? 'C:\\Program Files', 'Linux Containers');
  const files = await readdir(path).catch((): string[] => []);
  return { path, files: shortened(files.sort()) };
}

function shortened(files: readonly string[]): string[] {
  if (files.length <= largestFolder) return [...files];
  const kept = files.slice(0, largestFolder - 1);
  return [...kept, `… (${files.length - kept.length} more)`];
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
