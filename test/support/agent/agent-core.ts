// The VMs of an agent on a simulated node, without the link to the operator. A test can kill such an agent and start
// another.
import { randomBytes, randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { defaultTimeouts, type Timeouts } from '../../../agent/bounds/timeouts.ts';
import { GuestLogFile, type GuestLogFileOptions } from '../../../agent/guest-log/file.ts';
import type { AgentTally } from '../../../agent/metrics/tally.ts';
import { type AllowList, allowList } from '../../../agent/preparation/allow-list.ts';
import { requireAllowedGroups } from '../../../agent/preparation/allowed-groups.ts';
import { admitDiskOf, admitShareOf, prepareBoot } from '../../../agent/preparation/prepare.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal, type Journal } from '../../../agent/vm/journal.ts';
import type { VirtualMachinePorts } from '../../../agent/vm/ports.ts';
import { Supervisor, type SupervisorListener } from '../../../agent/vm/supervisor.ts';
import type { LastExit, ObservedCondition, ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { until } from '../until.ts';
import type { Outside } from './crash-points.ts';

/** Short enough for a test, long enough for two busy cores. */
export const testTimeouts: Timeouts = {
  ...defaultTimeouts,
  bootTimeout: 5_000,
  exit: 2_000,
  cleanUpRetry: 20,
  backOffUnit: 10,
  backOffMaximum: 100,
  changeRetry: 50,
  enumerateRetry: 20,
  recovery: 200,
  drainLogs: 1_000,
};

const stateFolder = 'C:\\ProgramData\\lcow';
const allowEverything = allowList({ paths: ['C:\\', 'C:\\images:ro'], pipes: ['*'], devices: ['*'] });
const groupOf = (digit: string) => `${digit.repeat(8)}-0000-4000-8000-000000000000`;
const allowedGroups = { cpuGroups: ['a', 'b'].map(groupOf), resourcePartitions: [groupOf('c')] };

export interface CoreOptions {
  /** By default everything on drive C, and one read-only folder. */
  readonly allowed?: AllowList;
  readonly timeouts?: Partial<Timeouts>;
  /** As of the ports; absent = every agent runs on the same start of the host. */
  readonly hostStartedAt?: number;
  readonly journal?: Journal;
  readonly clock?: Clock;
  /** Wraps every call of the agent to the outside. */
  readonly outside?: Outside;
  /** False leaves the recovery to the test. */
  readonly recovers?: boolean;
  readonly listener?: Omit<SupervisorListener, 'serviceLost'>;
  readonly tally?: AgentTally;
  readonly guestLog?: Pick<VirtualMachinePorts, 'openGuestOutput' | 'guestLogRate'>;
  readonly guestLogFile?: Partial<GuestLogFileOptions>;
}

/** What the agent runs on: a simulated node or a substitute. */
export interface CoreNode {
  readonly folder: string;
  connect(): Promise<Pick<VirtualMachinePorts, 'backend' | 'host' | 'sockets'> & { close(): Promise<void> }>;
}

export interface AgentCore extends AsyncDisposable {
  readonly supervisor: Supervisor;
  /** Those that are gone, with their last exit. */
  readonly removed: ReadonlyMap<string, LastExit | undefined>;
  serviceLost: boolean;
  /** Like SIGKILL: nobody is notified, and handles are closed. */
  kill(): Promise<void>;
  /** The same for an agent whose calls do not return any more. */
  vanish(): Promise<void>;
  observed(uid: string): ObservedVirtualMachine;
  /** Waits until the predicate holds for the VM. */
  until(
    uid: string,
    what: string,
    holds: (observed: ObservedVirtualMachine) => boolean,
  ): Promise<ObservedVirtualMachine>;
}

export async function startCore(node: CoreNode, options: CoreOptions = {}): Promise<AgentCore> {
  const connection = await node.connect();
  const stop = new AbortController();
  const journal = options.journal ?? new FileJournal(nodeFileSystem, `${node.folder}/agent`);
  const outside = options.outside?.wrap({ ...connection, journal }) ?? { ...connection, journal };
  const { allowed = allowEverything } = options;
  const preparation = {
    ...outside,
    randomGuid: randomUUID,
    stateFolder,
    ownFolders: [stateFolder],
    allowed,
    allowedGroups,
  };
  const ports: Omit<VirtualMachinePorts, 'reservations'> = {
    clock: options.clock ?? systemClock,
    random: Math.random,
    randomBytes,
    ...outside,
    ...options.guestLog,
    timeouts: { ...testTimeouts, ...options.timeouts },
    logger: pino({ level: process.env.LCOW_TEST_LOG ?? 'silent' }),
    agentBootID: randomUUID(),
    hostStartedAt: options.hostStartedAt ?? 0,
    ...(options.tally && { tally: options.tally }),
    openGuestLog: (uid, events) =>
      new GuestLogFile({
        files: nodeFileSystem,
        folder: `${node.folder}/agent/vms/${uid}`,
        ...events,
        ...options.guestLogFile,
      }),
    prepare: (assignment) => prepareBoot(assignment, preparation),
    admitGroup: (CPUGroupID) => requireAllowedGroups({ CPUGroupID }, allowedGroups),
    admitDisk: (assignment, disk) => admitDiskOf(assignment, disk, preparation),
    admitShare: (assignment, share) => admitShareOf(assignment, share, preparation),
  };
  const removed = new Map<string, LastExit | undefined>();
  const supervisor = new Supervisor(
    ports,
    {
      changed: (uid) => options.listener?.changed(uid),
      removed: (uid, lastExit) => {
        removed.set(uid, lastExit);
        options.listener?.removed(uid);
      },
      serviceLost: () => {
        core.serviceLost = true;
      },
    },
    stop.signal,
  );
  const core: AgentCore = {
    supervisor,
    removed,
    serviceLost: false,
    async kill() {
      stop.abort();
      await connection.close();
      await supervisor.ended();
    },
    async vanish() {
      stop.abort();
      await connection.close();
    },
    observed(uid) {
      const observed = supervisor.observe(uid);
      if (observed === undefined) throw new Error(`the agent does not know ${uid}`);
      return observed;
    },
    async until(uid, what, holds) {
      const find = () => {
        const observed = supervisor.observe(uid);
        return observed !== undefined && holds(observed) ? observed : undefined;
      };
      return await until(what, find).catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(supervisor.observe(uid), undefined, 1)}`);
      });
    },
    [Symbol.asyncDispose]: () => core.kill(),
  };
  if (options.recovers !== false) await supervisor.recover();
  return core;
}

export function condition(
  observed: ObservedVirtualMachine,
  type: ObservedCondition['type'],
): ObservedCondition | undefined {
  return observed.conditions.find((each) => each.type === type);
}

export const isReady = (observed: ObservedVirtualMachine) => condition(observed, 'Ready')?.status === 'True';
export const isRunning = (observed: ObservedVirtualMachine) => observed.phase === 'Running' && isReady(observed);
export const hasReason = (reason: string) => (observed: ObservedVirtualMachine) =>
  condition(observed, 'Ready')?.reason === reason;
