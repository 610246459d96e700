// VMs of this node that could not be started again under these flags, because they name something on the host that the
// flags do not allow. They keep running until their next start, so run this check before changing the flags of an
// agent.

import { counted } from '../../runtime/counted.ts';
import { MachineFailure } from '../failure.ts';
import { allowList } from '../preparation/allow-list.ts';
import { ownFolders } from '../preparation/own-folders.ts';
import { type NamePorts, requireAllowed } from '../preparation/prepare.ts';
import { type Check, failed, notApplicable, ok } from './check.ts';
import type { DoctorPorts, DoctorSettings } from './ports.ts';

/** The most VMs that one result lists. */
const maxListed = 50;

export const allowedNames: Check = {
  id: 'allowed-names',
  title: 'what VMs name',
  needsWindows: false,
  async run(settings, ports) {
    const assignments = (await ports.assignments?.(settings.stateDir)) ?? [];
    if (assignments.length === 0) return notApplicable('no VM has been on this node');
    const { bootFiles, osBuild } = await ports.hostFacts();
    const host = {
      architecture: 'amd64' as const,
      build: osBuild,
      visibleProcessors: 1,
      bootFolder: ports.platform === 'win32' ? (bootFiles[0]?.path ?? defaultBootFolder) : defaultBootFolder,
      currentDirectory: 'C:\\',
    };
    const names = namePorts(settings, ports);
    const problems: string[] = [];
    for (const assignment of assignments) {
      const problem = await requireAllowed(assignment, host, names).then(() => undefined, messageOfRefusal);
      if (problem !== undefined) problems.push(`${assignment.namespace}/${assignment.name}: ${problem}`);
    }
    if (problems.length === 0) return ok(`${counted(assignments.length, 'VM')} would start again`);
    const listed = [...problems.slice(0, maxListed), ...(problems.length > maxListed ? ['…'] : [])].join('; ');
    const fix = 'give the flags that allow it, or change the manifests, before the agent is started with these flags';
    return failed(`${problems.length} of ${counted(assignments.length, 'VM')} would not start again: ${listed}`, fix);
  },
};

const defaultBootFolder = 'C:\\LinuxBootFiles';

function namePorts(settings: DoctorSettings, ports: DoctorPorts): NamePorts {
  const { caFile, stateDir, tokenFile } = settings;
  return {
    host: { withFile: ports.withFile ?? (async () => undefined) },
    ownFolders: ownFolders({
      stateFolder: ports.platform === 'win32' ? stateDir : 'C:\\ProgramData\\lcow',
      credentials: [tokenFile, caFile],
      environment: ports.environment,
    }),
    allowed: allowList({
      paths: settings.allowedPath ?? [],
      pipes: settings.allowedPipe ?? [],
      devices: settings.allowedDevice ?? [],
    }),
    allowedGroups: {
      cpuGroups: settings.allowedCpuGroup ?? [],
      resourcePartitions: settings.allowedResourcePartition ?? [],
    },
  };
}

/** Undefined for a refusal that can pass without a change of flags. */
function messageOfRefusal(error: unknown): string | undefined {
  if (!(error instanceof MachineFailure)) throw error;
  return error.stalls ? error.message : undefined;
}
