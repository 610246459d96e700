// The scenarios of the crash-point tests, and the state that is compared after the agents' death.

import { systemIdOf } from '../../../agent/node/system-id.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal, type Journal } from '../../../agent/vm/journal.ts';
import type { Assignment, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import type { SystemDetail } from '../../../simulator/wire/rpc.ts';
import { until } from '../until.ts';
import { type AgentCore, condition, hasReason, isReady, isRunning } from './agent-core.ts';
import { makeAssignment, someUid as uid } from './assignments.ts';
import { bootFolder, defaultHost, type TestNode } from './simulated-node.ts';

export interface Scenario {
  /** Assigned one after the other, each once the one before has finished. */
  readonly assignments: readonly Assignment[];
  readonly isThere: (observed: ObservedVirtualMachine) => boolean;
}

const confidential = {
  SecurityPolicy: Buffer.from('package policy').toString('base64'),
  SecurityPolicyEnabled: true,
};

export const outlives = { TerminateOnAgentExit: false };
export const disk = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false };
const share = { name: 'work', path: 'C:\\shares\\work', readOnly: false, guestPath: '/mnt/work' };
const otherDisk = { name: 'other', path: 'C:\\disks\\other.vhd', readOnly: false };

const processOf = (script: string) => ({ ProcessCommand: ['/bin/sh', '-c', script] });

export const scenarios: Readonly<Record<string, Scenario>> = {
  'a VM that boots': { assignments: [makeAssignment()], isThere: isRunning },
  'a VM that may outlive its agent': {
    assignments: [makeAssignment({ options: { TerminateOnAgentExit: false } })],
    isThere: isRunning,
  },
  'a confidential VM': { assignments: [makeAssignment({ options: confidential })], isThere: isRunning },
  'a VM that is halted': {
    assignments: [makeAssignment(), makeAssignment({ runStrategy: 'Halted', generation: 2 })],
    isThere: hasReason('Halted'),
  },
  'a VM that is restarted on request': {
    assignments: [makeAssignment(), makeAssignment({ restartedAt: 'now', generation: 2 })],
    isThere: (observed) => isRunning(observed) && observed.restartedAt === 'now',
  },
  'a VM that is made anew': {
    assignments: [
      makeAssignment({ updateStrategy: 'Recreate' }),
      makeAssignment({ updateStrategy: 'Recreate', options: { ProcessorCount: 1 }, generation: 2 }),
    ],
    isThere: (observed) => isRunning(observed) && observed.processorCount === 1,
  },
  'a VM that gets more memory': {
    assignments: [makeAssignment(), makeAssignment({ options: { MemorySizeInMB: 2048 }, generation: 2 })],
    isThere: (observed) => isRunning(observed) && observed.memorySizeInMB === 2048,
  },
  'a VM that may outlive its agent and gets other memory and limits': {
    assignments: [
      makeAssignment({ options: outlives }),
      makeAssignment({ options: { ...outlives, MemorySizeInMB: 2048, ProcessorWeight: 200 }, generation: 2 }),
    ],
    isThere: (observed) => isRunning(observed) && observed.memorySizeInMB === 2048,
  },
  'a VM with a process that goes on': {
    assignments: [makeAssignment({ options: { ...processOf('sleep 1000'), Disks: [disk] } })],
    isThere: (observed) => isRunning(observed) && observed.process?.state === 'Running',
  },
  'a VM with a process that ends': {
    assignments: [makeAssignment({ options: processOf('exit 0'), runStrategy: 'RerunOnFailure' })],
    isThere: hasReason('Completed'),
  },
  'a VM that may outlive its agent, with a process that goes on': {
    assignments: [makeAssignment({ options: { ...outlives, ...processOf('echo up; sleep 1000') } })],
    isThere: (observed) => isRunning(observed) && observed.process?.state === 'Running',
  },
  'a VM that may outlive its agent, with a process that ends': {
    assignments: [
      makeAssignment({ options: { ...outlives, ...processOf('echo up; exit 0') }, runStrategy: 'RerunOnFailure' }),
    ],
    isThere: hasReason('Completed'),
  },
  'a VM with a disk': { assignments: [makeAssignment({ options: { Disks: [disk] } })], isThere: isRunning },
  'a VM with a share': { assignments: [makeAssignment({ options: { Shares: [share] } })], isThere: isReady },
  'a VM that may outlive its agent and gets another disk for the one that it has': {
    assignments: [
      makeAssignment({ options: { ...outlives, Disks: [disk] } }),
      makeAssignment({ options: { ...outlives, Disks: [otherDisk] }, generation: 2 }),
    ],
    isThere: isRunning,
  },
};

/** The files of the host. */
export const host = {
  files: {
    ...defaultHost.files,
    [otherDisk.path]: 3000,
    'C:\\shares\\work\\a.txt': 1,
    [`${bootFolder}\\kernel.vmgs`]: 4096,
    [`${bootFolder}\\rootfs.vhd`]: 8192,
  },
  isolation: ['SNP' as const],
};

/** The state that must be equal, however often the agent died on the way: the report, and the VM's resources. */
export async function essence(observed: ObservedVirtualMachine, node: TestNode) {
  const { phase, generation, restartedAt } = observed;
  const { optionsDigest, policyDigest, processorCount, memorySizeInMB } = observed;
  // An agent that died early enough may never have created a VM that is halted now.
  const applied = phase === 'Running' && { optionsDigest, policyDigest, processorCount, memorySizeInMB };
  const system = await node.control.system(systemIdOf(uid));
  const has = system && { memoryInMB: system.memoryInMB, ...disksOf(system) };
  return { phase, generation, restartedAt, applied, has, ready: condition(observed, 'Ready') };
}

/** Without their slots: the slot of a disk for which the guest may still be waiting is not used again. */
function disksOf({ disks, guest, shares }: SystemDetail) {
  const mounts = Object.entries(guest?.mounts ?? {}).map(([path, place]) => [path, disks[place]]);
  const folders = Object.values(shares);
  const own = folders.length > 0 && { folders, places: guest?.mounts };
  return { disks: Object.values(disks), mounts: Object.fromEntries(mounts), ...own };
}

export type Essence = Awaited<ReturnType<typeof essence>>;

export async function play(core: AgentCore, { assignments, isThere }: Scenario): Promise<ObservedVirtualMachine> {
  for (const assignment of assignments.slice(0, -1)) {
    await core.supervisor.assign(assignment);
    await core.until(uid, 'running', isRunning);
  }
  const last = assignments.at(-1);
  if (last !== undefined) await core.supervisor.assign(last);
  return core.until(uid, 'there', isThere);
}

/** Staged files, files that our VM may access, and our systems on the host, with their disks. */
export async function possessions(node: TestNode): Promise<string[]> {
  const files = (await node.control.files()).filter(
    ({ grantedTo, path }) => path.includes(uid) || grantedTo?.includes(systemIdOf(uid)) === true,
  );
  const systems = await node.control.systems();
  return [...files.map(({ path }) => path), ...systems.flatMap(({ disks, id }) => [id, ...placesOf(disks)])];
}

function placesOf(disks: Readonly<Record<string, string>>): string[] {
  return Object.entries(disks).map(([place, path]) => `${path} at ${place}`);
}

/** Resources on the host that the journal does not list. */
export async function unjournaled(node: TestNode): Promise<string[]> {
  const { records } = await journalIn(node).load();
  const known = records.flatMap((record) => [
    systemIdOf(record.uid),
    ...record.acquired.map(({ path }) => path),
    ...[...record.disks, ...(record.applied?.devices.scsi ?? [])].map(
      ({ controller, lun, path }) => `${path} at ${controller}:${lun}`,
    ),
  ]);
  return (await possessions(node)).filter((each) => !known.some((path) => path.toLowerCase() === each.toLowerCase()));
}

export const journalIn = (node: Pick<TestNode, 'folder'>) => new FileJournal(nodeFileSystem, `${node.folder}/agent`);

export const released = makeAssignment({ options: { ...outlives, Disks: [disk] } });

/** Plays until nothing of the VM is left; `onRunning` is called before the release. */
export async function playRelease(core: AgentCore, onRunning: () => void): Promise<void> {
  await core.supervisor.assign(released);
  await core.until(uid, 'running', isRunning);
  onRunning();
  core.supervisor.release(uid);
  await until('removed', () => core.removed.has(uid));
}

/** A journal that confirms each write before it has happened. */
export class LateJournal implements Journal {
  readonly #journal: Journal;
  #late: (() => Promise<void>) | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  load() {
    return this.#journal.load();
  }

  async write(record: Parameters<Journal['write']>[0]): Promise<void> {
    await this.#late?.();
    this.#late = () => this.#journal.write(record);
  }

  remove(of: string): Promise<void> {
    return this.#journal.remove(of);
  }
}
