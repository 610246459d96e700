// Wires an agent together: its node, its VMs, the link to the operator.
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { HostFacts } from '../protocol/messages.ts';
import type { Clock, Random, RandomUUID } from '../runtime/clock.ts';
import { messageOf } from '../runtime/error-text.ts';
import type { MetricsSettings } from '../runtime/metrics/flags.ts';
import { MetricsServer } from '../runtime/metrics/server.ts';
import { bounded, within } from './bounds/bounded.ts';
import { ByteBudget } from './bounds/byte-budget.ts';
import { defaultLinkTimes, type LinkTimes, type Timeouts } from './bounds/timeouts.ts';
import type { RandomBytes } from './guest/entropy.ts';
import type { LogRate } from './guest/log/limiter.ts';
import { type LogTurnPorts, LogTurns } from './guest/log/turns.ts';
import { GuestLogFile } from './guest-log/file.ts';
import { GuestLogOutput, type LineDestination } from './guest-log/output.ts';
import { type DialSettings, dial, type OpenSocket } from './link/dial.ts';
import { OperatorLink } from './link/link.ts';
import { serveHealth } from './metrics/health.ts';
import { AgentMetrics } from './metrics/metrics.ts';
import { ServiceNetworks } from './network/host-networks.ts';
import { NetworkWatch } from './network/network-watch.ts';
import type { AgentNode, NodeAccess } from './node/node.ts';
import type { AllowList } from './preparation/allow-list.ts';
import { type AllowedGroups, requireAllowedGroups } from './preparation/allowed-groups.ts';
import { admitDiskOf, admitShareOf, prepareBoot } from './preparation/prepare.ts';
import { acquireInstanceLock } from './storage/instance-lock.ts';
import { SentDocumentFiles } from './storage/sent-documents.ts';
import { ExclusiveConsoles } from './streams/console-readers.ts';
import { StreamServer } from './streams/stream-server.ts';
import { FileJournal } from './vm/journal.ts';
import type { VirtualMachinePorts } from './vm/ports.ts';
import { Supervisor } from './vm/supervisor.ts';

/**
 * Everything outside its own code that an agent touches. What decides how a run goes is passed in, so that a simulation
 * can decide it.
 */
export interface Outside {
  readonly clock: Clock;
  readonly random: Random;
  readonly randomUUID: RandomUUID;
  readonly randomBytes: RandomBytes;
  readonly logTurns: LogTurnPorts;
  /** Opens a connection to the operator. */
  readonly openSocket: OpenSocket;
  readonly node: NodeAccess;
  readonly logger: Logger;
}

export interface GuestLogSettings {
  /** How much one guest may log in total; absent = unlimited. */
  readonly rate?: LogRate | undefined;
  /** Where the lines of all guests are written as JSON, and how many of each guest; absent = nowhere. */
  readonly output?: { readonly destination: LineDestination; readonly rate: LogRate } | undefined;
}

export interface AgentSettings {
  readonly version: string;
  readonly operator: DialSettings;
  /** The state folder as this process sees it. */
  readonly stateDir: string;
  /** The same folder as a Windows path, for documents. */
  readonly stateFolder: string;
  /** Folders that no manifest may name (`ownFolders`): the state folder and others of the agent. */
  readonly ownFolders: readonly string[];
  readonly timeouts: Timeouts;
  /** Absent = `defaultLinkTimes`. */
  readonly linkTimes?: LinkTimes | undefined;
  readonly allowed: AllowList;
  /** CPU groups and resource partitions that specs may join; absent = none. */
  readonly allowedGroups?: AllowedGroups | undefined;
  readonly guestLog: GuestLogSettings;
  /** Loopback port of probes and metrics; absent = none. */
  readonly healthPort: number | undefined;
  /** Metrics for readers on the network; absent = none. */
  readonly metrics?: MetricsSettings | undefined;
}

/**
 * How a run ended: on request, or because the compute service went away. In the second case a new process must
 * enumerate what is left.
 */
export type AgentEnd = 'stopped' | 'serviceLost';

/** The agent does not wait for it: metrics that cannot be served must not keep VMs from being looked after. */
function serveMetrics(
  { metrics: settings }: AgentSettings,
  metrics: AgentMetrics,
  { clock, logger }: Outside,
): MetricsServer | undefined {
  if (settings === undefined) return undefined;
  const server = new MetricsServer({
    ...settings,
    clock,
    bindAddress: undefined,
    metrics: () => metrics.scrape(),
    failed: (message) => logger.warn(message),
  });
  void server.start().then((port) => {
    if (port !== undefined) logger.info({ port }, 'metrics are served to the network');
  });
  return server;
}

type GuestLogPorts = Pick<VirtualMachinePorts, 'openGuestOutput' | 'guestLogRate' | 'logTurns' | 'openGuestLog'>;

/** Bytes of all guests' logs that wait for the disk. */
const maxWaitingForDisk = 32 << 20;

export async function runAgent(settings: AgentSettings, outside: Outside, stop: AbortSignal): Promise<AgentEnd> {
  const { clock, logger, node: access, random, randomBytes, randomUUID } = outside;
  await access.storage.openFolder(settings.stateDir);
  let isRecovered = false;
  const { allowed, allowedGroups, healthPort, ownFolders, stateFolder } = settings;
  const metrics = new AgentMetrics(settings.version, clock);
  const answers = { isReady: () => isRecovered, metrics: () => metrics.scrape() };
  // Released on every way out, so that nothing keeps the process from ending and being started again.
  await using held = new AsyncDisposableStack();
  const health = healthPort === undefined ? undefined : await serveHealth(healthPort, answers);
  held.defer(() => health?.close());
  const networkMetrics = serveMetrics(settings, metrics, outside);
  held.defer(() => networkMetrics?.close());
  const node = await connectAlone(settings, outside, { held, stop });
  const lost = new AbortController();
  /** Aborted once the agent has stopped looking after its VMs. */
  const left = new AbortController();
  const over = AbortSignal.any([left.signal, lost.signal]);
  const signal = AbortSignal.any([stop, lost.signal]);
  const agentBootID = randomUUID();
  const preparation = { ...node, randomGuid: randomUUID, stateFolder, ownFolders, allowed, allowedGroups };
  const ports: Omit<VirtualMachinePorts, 'reservations'> = {
    clock,
    random,
    randomBytes,
    backend: node.backend,
    host: node.host,
    sockets: node.sockets,
    journal: new FileJournal(access.storage.files, settings.stateDir),
    timeouts: settings.timeouts,
    logger,
    tally: metrics.tally,
    agentBootID,
    hostStartedAt: clock.now() - node.uptime(),
    ...guestLogPorts(settings, outside),
    sentDocuments: new SentDocumentFiles(access.storage.files, settings.stateDir),
    prepare: (assignment) => prepareBoot(assignment, preparation),
    admitGroup: (CPUGroupID) => requireAllowedGroups({ CPUGroupID }, allowedGroups),
    admitDisk: (assignment, disk) => admitDiskOf(assignment, disk, preparation),
    admitShare: (assignment, share) => admitShareOf(assignment, share, preparation),
  };
  const supervisor: Supervisor = new Supervisor(
    ports,
    {
      changed: (uid) => link.changed(uid),
      removed: (uid, lastExit) => link.removed(uid, lastExit),
      serviceLost: () => lost.abort(),
    },
    over,
  );
  metrics.watch(supervisor);
  const consoles = new ExclusiveConsoles(node.readConsole);
  const link: OperatorLink = new OperatorLink({
    clock,
    random,
    logger,
    supervisor,
    agentVersion: settings.version,
    agentBootID,
    times: settings.linkTimes ?? defaultLinkTimes,
    openStreams: (lane) => new StreamServer({ ...lane, clock, logger, consoles, supervisor, usage: metrics.usage }),
    dial: (dialSignal) => dial(settings.operator, outside, dialSignal),
    networks: () => networks.facts,
    hostFacts: () => hostFacts(settings, clock, node),
  });
  const networks: NetworkWatch = watchNetworks(settings, outside, { node, metrics, link, over });
  // Also while it recovers: what it knows by then may run already.
  once(stop, () => supervisor.endWithAgent())
    .catch((error: unknown) => logger.error({ error: messageOf(error) }, 'the VMs could not be stopped'))
    .finally(() => left.abort());
  try {
    await supervisor.recover();
    isRecovered = true;
    await link.run(signal);
    if (stop.aborted) await supervisor.ended();
    else await within(clock, settings.timeouts.leave, supervisor.ended());
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return stop.aborted ? 'stopped' : 'serviceLost';
}

interface NetworkUsers {
  readonly node: AgentNode;
  readonly metrics: AgentMetrics;
  readonly link: OperatorLink;
  readonly over: AbortSignal;
}

/** Nothing waits for it, so an HNS that is absent or hangs holds up nothing else. */
function watchNetworks(
  { timeouts }: AgentSettings,
  { clock, logger }: Outside,
  { link, metrics: { tally }, node, over }: NetworkUsers,
): NetworkWatch {
  const networks = new ServiceNetworks(node.networks);
  const changed = () => link.networksChanged();
  const watch = new NetworkWatch({ clock, logger, timeouts, tally, networks, changed });
  watch.run(over).catch((error: unknown) => {
    logger.error({ error: messageOf(error) }, 'the networks of the host are not looked at any more');
  });
  return watch;
}

function hostFacts({ timeouts }: AgentSettings, clock: Clock, { host }: AgentNode): Promise<HostFacts> {
  return bounded(clock, timeouts.lookUp, 'the look at the facts of the host', () => host.facts());
}

interface Connecting {
  readonly held: AsyncDisposableStack;
  readonly stop: AbortSignal;
}

/** Waits until this is the only agent of the node. */
async function connectAlone(
  { stateDir, timeouts }: AgentSettings,
  { clock, logger, node: access }: Outside,
  { held, stop }: Connecting,
): Promise<AgentNode> {
  const locks = access.storage.locks(stateDir, (text) => logger.warn(text));
  const lock = await acquireInstanceLock(locks, clock, logger, stop);
  held.defer(() => lock.release());
  const node = await access.connect();
  // A call that hangs in HCS ends with the process.
  held.defer(async () => {
    await within(clock, timeouts.leave, node.close());
  });
  return node;
}

/** Runs `act` when the signal aborts. */
async function once(signal: AbortSignal, act: () => Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  if (!signal.aborted) await promise;
  await act();
}

/** The parts that all guests' logs share. */
function guestLogPorts({ guestLog: { output, rate }, stateDir }: AgentSettings, outside: Outside): GuestLogPorts {
  const { files } = outside.node.storage;
  const guestOutput = output && new GuestLogOutput({ ...output, clock: outside.clock });
  const waiting = new ByteBudget(maxWaitingForDisk);
  return {
    ...(guestOutput && { openGuestOutput: (uid, onDropped) => guestOutput.writerOf(uid, onDropped) }),
    guestLogRate: rate,
    logTurns: new LogTurns(outside.logTurns),
    openGuestLog: (uid, events) => new GuestLogFile({ files, folder: join(stateDir, 'vms', uid), waiting, ...events }),
  };
}
