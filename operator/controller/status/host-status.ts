// The status of a LinuxUtilityVMHost as a pure function of the stored status, the agent's hello, and the session.
import type { LinuxUtilityVMHostStatus } from '../../../crds/linux-utility-vm-host.ts';
import type { HostFacts } from '../../../protocol/messages.ts';
import type { NetworkFacts } from '../../../protocol/network-facts.ts';
import { conditionsOf, type Judgement, timestampOf } from './conditions.ts';

export interface HostIntroduction {
  readonly agentVersion: string;
  readonly facts: HostFacts;
  /** Uid of the Node that the agent's token proves, if known. */
  readonly nodeUID: string | undefined;
  /** The epoch of the agent's last session, if the agent remembers one. */
  readonly lastEpoch?: number | undefined;
}

/**
 * `Lapsed`: without a session for less than 60 s; the status does not change. `Unattended`: with a session, or just
 * without one, while the operator is being uninstalled.
 */
export type Connection = 'Connected' | 'Lapsed' | 'Unattended' | 'Disconnected';

export type Session = NonNullable<LinuxUtilityVMHostStatus['session']>;

export interface HostStatusInputs {
  readonly stored: LinuxUtilityVMHostStatus;
  readonly generation: number;
  readonly introduction: HostIntroduction | undefined;
  readonly session: Session | undefined;
  readonly connection: Connection;
  readonly virtualMachines: { readonly desired: number; readonly running: number };
  /** What a drain of the host waits for; undefined while there is none. */
  readonly draining?: string | undefined;
  readonly now: number;
}

export function nextHostStatus(inputs: HostStatusInputs): LinuxUtilityVMHostStatus {
  const { stored, generation, introduction, session, connection, virtualMachines, now } = inputs;
  const running = connection === 'Connected' ? virtualMachines.running : (stored.virtualMachines?.running ?? 0);
  const storedConnected = (stored.conditions ?? []).filter(({ type }) => type === 'Connected');
  const connected = connection === 'Lapsed' ? storedConnected : [connectedJudgement(connection)];
  const judgements = [...connected, ...drainingJudgements(inputs)];
  return {
    ...(introduction === undefined ? stored : withIntroduction(stored, introduction)),
    ...sessionOf(session ?? stored.session, connection, now),
    observedGeneration: generation,
    virtualMachines: { desired: virtualMachines.desired, running },
    conditions: conditionsOf(stored.conditions ?? [], judgements, generation, now),
  };
}

/** The current session, or the last one with its end. If several operators judge the end, the first one counts. */
function sessionOf(session: Session | undefined, connection: Connection, now: number): { readonly session?: Session } {
  if (session === undefined) return {};
  if (connection !== 'Disconnected' || session.endedAt !== undefined) return { session };
  return { session: { ...session, endedAt: timestampOf(now) } };
}

/** The stored status with the part that comes from the agent. `kubectl describe` shows an empty list as a heading. */
export function withIntroduction(
  { numaNodes: _numaNodes, isolation: _isolation, bootFiles: _bootFiles, ...stored }: LinuxUtilityVMHostStatus,
  { agentVersion, facts }: HostIntroduction,
): LinuxUtilityVMHostStatus {
  const { osBuild, architecture, logicalProcessors, memoryInMB } = facts;
  const numaNodes = [...new Map(facts.numaNodes.map((node) => [node.number, node])).values()];
  const isolation = [...new Set(facts.isolation)];
  const folders = [...new Map(facts.bootFiles.map((folder) => [folder.path, folder])).values()];
  const bootFiles = folders.map(({ path, files }) => (files.length > 0 ? { path, files } : { path }));
  return {
    ...withNetworks(stored, facts.network),
    ...{ agentVersion, osBuild, architecture, logicalProcessors, memoryInMB },
    ...(numaNodes.length > 0 && { numaNodes }),
    ...(isolation.length > 0 && { isolation }),
    ...(bootFiles.length > 0 && { bootFiles }),
  };
}

/** Networks that the agent has not been able to read stay as they are. */
function withNetworks(stored: LinuxUtilityVMHostStatus, told: HostFacts['network']): LinuxUtilityVMHostStatus {
  if (told === undefined) return stored;
  const { networks: _networks, hnsVersion: _hnsVersion, ...others } = stored;
  const networks = [...new Map(told.networks.map((each) => [each.id, each])).values()];
  return {
    ...others,
    ...(told.hnsVersion !== undefined && { hnsVersion: told.hnsVersion }),
    ...(networks.length > 0 && { networks: networks.map(withoutEmptySubnets) }),
  };
}

function withoutEmptySubnets({ subnets, ...network }: NetworkFacts['networks'][number]) {
  return subnets.length > 0 ? { ...network, subnets } : network;
}

function drainingJudgements({ draining }: HostStatusInputs): readonly Judgement[] {
  if (draining === undefined) return [];
  return [{ type: 'Draining', status: 'True', reason: 'Draining', message: draining }];
}

function connectedJudgement(connection: Exclude<Connection, 'Lapsed'>): Judgement {
  const type = 'Connected';
  switch (connection) {
    case 'Connected':
      return { type, status: 'True', reason: 'Connected', message: 'the agent is connected' };
    case 'Unattended': {
      const message = 'the operator was uninstalled, so nobody knows of the agent; the VMs of the host may still run';
      return { type, status: 'Unknown', reason: 'OperatorUninstalled', message };
    }
    case 'Disconnected': {
      const message = 'no agent has been connected for more than 60 s; the VMs of the host may still run';
      return { type, status: 'False', reason: 'HostDisconnected', message };
    }
  }
}
