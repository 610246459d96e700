// LinuxUtilityVMHosts. A host is created when its agent first says hello, and is owned by its Node. Accepting a session
// takes the next epoch in the host's status (design §6). Afterwards the status is written only when it changes.
import type { LinuxUtilityVMHostStatus } from '../../crds/linux-utility-vm-host.ts';
import { boundedFacts } from '../../protocol/bounded-facts.ts';
import type { NetworkFacts } from '../../protocol/network-facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import { sameJson } from '../../runtime/same-json.ts';
import { type ApiError, isAlreadyExists, isConflict, isNotFound, type Outcome } from '../kubernetes/api-error.ts';
import type { Host, Node } from '../kubernetes/objects.ts';
import type { ResourceClient } from '../kubernetes/resource-client.ts';
import { done, type Result } from '../queue/result.ts';
import type { Inventory } from './knowledge/inventory.ts';
import type { Lookup } from './knowledge/lookup.ts';
import type { Restoration } from './knowledge/restoration.ts';
import type { Uninstallation } from './knowledge/uninstallation.ts';
import type { VirtualMachines } from './knowledge/virtual-machines.ts';
import {
  type Connection,
  type HostIntroduction,
  nextHostStatus,
  type Session,
  withIntroduction,
} from './status/host-status.ts';
import type { NodeWrites } from './status/node-writes.ts';

export interface HostsOptions {
  readonly client: ResourceClient<Host>;
  readonly nodes: ResourceClient<Node>;
  readonly cache: Lookup<Host>;
  readonly inventory: Inventory;
  readonly machines: VirtualMachines;
  readonly writes: NodeWrites;
  readonly restoration: Pick<Restoration, 'suspect'>;
  readonly uninstallation: Pick<Uninstallation, 'isUnderWay'>;
  /** What a drain of the host waits for; undefined while there is none. */
  readonly drainOf: (nodeName: string) => string | undefined;
  readonly clock: Clock;
  /** Identifies this process among all operators that ever ran. */
  readonly replica: string;
  /** Called when another replica took an epoch after ours. */
  readonly onSuperseded: (nodeName: string) => void;
}

export type Acceptance =
  | { readonly ok: true; readonly epoch: number }
  | { readonly ok: false; readonly retry: boolean; readonly message: string };

const acceptAttempts = 5;
const conflictPauseMilliseconds = 500;

export class Hosts {
  readonly #options: HostsOptions;
  readonly #introductions = new Map<string, HostIntroduction>();
  /** Epochs of the sessions that this replica accepted. They outlive a record that somebody deletes. */
  readonly #epochs = new Map<string, number>();
  /** The newest epochs of other replicas that the watch has reported. */
  readonly #foreignEpochs = new Map<string, number>();

  constructor(options: HostsOptions) {
    this.#options = options;
  }

  /**
   * Takes the next epoch of the host for this replica. A replica that already holds the newest epoch keeps it: it knows
   * the order of its own sessions, so an agent that merely reconnects costs a read and no write.
   */
  async accept(nodeName: string, introduction: HostIntroduction): Promise<Acceptance> {
    this.#introductions.set(nodeName, introduction);
    for (let attempt = 1; attempt <= acceptAttempts; attempt += 1) {
      const host = await this.#ensure(nodeName);
      if (!host.ok) return refusal(nodeName, host.error);
      this.#compareEpochs(host.value, introduction);
      const session = this.#nextSession(host.value, nodeName);
      const next = this.#status(host.value, session, true);
      const unchanged = sameStatus(host.value.status, next);
      const written = unchanged ? host : await this.#write(host.value, next);
      if (written.ok) {
        this.#epochs.set(nodeName, session.epoch);
        if (!this.#isSuperseded(nodeName)) return { ok: true, epoch: session.epoch };
        return { ok: false, retry: true, message: 'another replica has taken a newer epoch' };
      }
      if (!isConflict(written.error)) return refusal(nodeName, written.error);
    }
    return { ok: false, retry: true, message: `the record of host ${nodeName} kept changing` };
  }

  /** The networks of the host have changed. The caller lets the host be reconciled. */
  tellNetworks(nodeName: string, network: NetworkFacts): void {
    const introduction = this.#introductions.get(nodeName);
    if (introduction === undefined) return;
    const facts = boundedFacts({ ...introduction.facts, network });
    this.#introductions.set(nodeName, { ...introduction, facts });
  }

  /** An agent whose last session is later than the record knows has outlived a restore of the cluster. */
  #compareEpochs({ metadata, status }: Host, { lastEpoch = 0 }: HostIntroduction): void {
    const stored = status.session?.epoch ?? lastEpoch; // a record that was created again knows no session
    if (lastEpoch <= stored) return;
    const why = `the agent of ${metadata.name} was in session ${lastEpoch}, but the stored epoch is ${stored}`;
    this.#options.restoration.suspect(why);
  }

  /** A record with a newer epoch of another replica fences this one off (design §6). */
  observe({ metadata: { name }, status: { session } }: Host): void {
    if (session === undefined || session.replica === this.#options.replica) return;
    const held = this.#epochs.has(name) && !this.#isSuperseded(name);
    this.#foreignEpochs.set(name, Math.max(session.epoch, this.#foreignEpochs.get(name) ?? 0));
    if (held && this.#isSuperseded(name)) this.#options.onSuperseded(name);
  }

  /**
   * Whether anything may be written about VMs of this host: not while another replica has the newest epoch. Nobody has a
   * host without a record: its Node was removed, and its VMs have to leave it.
   */
  mayWriteFor(nodeName: string): boolean {
    return !this.#isSuperseded(nodeName) || this.#options.cache.get(nodeName) === undefined;
  }

  #isSuperseded(nodeName: string): boolean {
    const foreign = this.#foreignEpochs.get(nodeName);
    return foreign !== undefined && foreign >= (this.#epochs.get(nodeName) ?? 0);
  }

  async reconcile(nodeName: string): Promise<Result> {
    const host = this.#options.cache.get(nodeName);
    if (host === undefined) return this.#restore(nodeName);
    const fenced = this.#isSuperseded(nodeName);
    if (fenced && this.#options.inventory.untilDisconnected(nodeName) !== 0) return done;
    // The other replica's agent is connected to nobody any more: the next epoch takes the host back.
    const session = fenced ? this.#nextSession(host, nodeName) : undefined;
    const next = this.#status(host, session, false);
    if (sameStatus(host.status, next)) return this.#pendingFacts(host);
    // Changes by the agent may have to wait; decisions of the operator do not.
    const patience = this.#options.writes.remaining(nodeName);
    if (patience > 0 && session === undefined && sameStatus(host.status, { ...next, ...agentPart(host.status) })) {
      return { kind: 'After', milliseconds: patience };
    }
    const written = await this.#write(host, next);
    if (written.ok && session !== undefined) this.#epochs.set(nodeName, session.epoch);
    if (written.ok) return this.#pendingFacts(written.value);
    if (isNotFound(written.error)) return done;
    if (isConflict(written.error)) return { kind: 'After', milliseconds: conflictPauseMilliseconds };
    return { kind: 'Retry', error: written.error };
  }

  /** Creates the record again after somebody deleted it while the agent is connected. */
  async #restore(nodeName: string): Promise<Result> {
    const introduction = this.#introductions.get(nodeName);
    if (introduction === undefined || !this.#options.inventory.isConnected(nodeName)) return done;
    const acceptance = await this.accept(nodeName, introduction);
    return acceptance.ok || !acceptance.retry ? done : { kind: 'Retry', error: acceptance.message };
  }

  #status(host: Host, session: Session | undefined, connecting: boolean): LinuxUtilityVMHostStatus {
    const { inventory, machines, clock } = this.#options;
    const { name, generation } = host.metadata;
    const reports = [...inventory.reportedOn(name).values()];
    const reported = reports.filter(({ observed }) => observed?.phase === 'Running').length;
    const running = connecting && reports.length === 0 ? (host.status.virtualMachines?.running ?? 0) : reported;
    return nextHostStatus({
      stored: host.status,
      generation,
      introduction: this.#newFacts(host),
      session,
      connection: this.#connection(name, connecting),
      virtualMachines: { desired: machines.keysOn(name).size, running },
      draining: this.#options.drainOf(name),
      now: clock.now(),
    });
  }

  #connection(nodeName: string, connecting: boolean): Connection {
    const { inventory, uninstallation } = this.#options;
    const untilDisconnected = connecting ? undefined : inventory.untilDisconnected(nodeName);
    if (untilDisconnected === 0) return 'Disconnected';
    if (uninstallation.isUnderWay) return 'Unattended';
    return untilDisconnected === undefined ? 'Connected' : 'Lapsed';
  }

  async #write(host: Host, next: LinuxUtilityVMHostStatus): Promise<Outcome<Host>> {
    const { client, writes } = this.#options;
    const { name } = host.metadata;
    const tellsFacts = this.#newFacts(host) !== undefined;
    const written = await client.replaceStatus(host, next);
    if (written.ok) writes.wrote(name, next);
    if (written.ok && tellsFacts) writes.wroteFacts(name);
    return written;
  }

  /** The agent's facts about its host, if they are new and none were written within the last minute. */
  #newFacts(host: Host): HostIntroduction | undefined {
    const { name } = host.metadata;
    const introduction = this.#introductions.get(name);
    if (introduction === undefined || !isNews(introduction, host.status)) return undefined;
    const isFirst = host.status.osBuild === undefined;
    return isFirst || this.#options.writes.factsRemaining(name) === 0 ? introduction : undefined;
  }

  /** When postponed facts may be written. */
  #pendingFacts(host: Host): Result {
    const { name } = host.metadata;
    const introduction = this.#introductions.get(name);
    const milliseconds = this.#options.writes.factsRemaining(name);
    const waits = introduction !== undefined && isNews(introduction, host.status) && milliseconds > 0;
    return waits ? { kind: 'After', milliseconds } : done;
  }

  #nextSession(host: Host, nodeName: string): Session {
    const { replica } = this.#options;
    const owner = host.metadata.ownerReferences?.find(({ kind, name }) => kind === 'Node' && name === nodeName);
    const nodeUID = this.#introductions.get(nodeName)?.nodeUID ?? owner?.uid;
    const epoch = this.#ownEpoch(host, nodeName) ?? this.#newestEpoch(host, nodeName) + 1;
    return { replica, epoch, ...(nodeUID === undefined ? {} : { nodeUID }) };
  }

  /**
   * The newest epoch of the host, if this replica holds it. For a record that was created again: the epoch that its
   * agent knows.
   */
  #ownEpoch({ status }: Host, nodeName: string): number | undefined {
    const { session } = status;
    const ours = session === undefined ? this.#epochs.get(nodeName) : undefined;
    const epoch = session?.replica === this.#options.replica ? session.epoch : ours;
    return epoch !== undefined && epoch > (this.#foreignEpochs.get(nodeName) ?? 0) ? epoch : undefined;
  }

  /** The newest known epoch, even when a restore has put an older one into the record. */
  #newestEpoch({ status }: Host, nodeName: string): number {
    return Math.max(
      status.session?.epoch ?? 0,
      this.#foreignEpochs.get(nodeName) ?? 0,
      this.#epochs.get(nodeName) ?? 0,
    );
  }

  async #ensure(nodeName: string): Promise<Outcome<Host>> {
    const { client } = this.#options;
    const live = await client.get({ name: nodeName });
    if (live.ok || !isNotFound(live.error)) return live;
    const created = await this.#create(nodeName);
    return !created.ok && isAlreadyExists(created.error) ? client.get({ name: nodeName }) : created;
  }

  async #create(nodeName: string): Promise<Outcome<Host>> {
    const node = await this.#options.nodes.get({ name: nodeName });
    if (!node.ok) return node;
    const owner = { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: node.value.metadata.uid };
    return this.#options.client.create(
      { name: nodeName },
      { metadata: { name: nodeName, ownerReferences: [owner] }, spec: {} },
    );
  }
}

function refusal(nodeName: string, error: ApiError): Acceptance {
  const message = isNotFound(error) ? `there is no Node ${nodeName}` : error.message;
  return { ok: false, retry: !isNotFound(error), message };
}

function isNews(introduction: HostIntroduction, stored: LinuxUtilityVMHostStatus): boolean {
  return !sameJson(stored, withIntroduction(stored, introduction));
}

/** The part of the status that an agent can change as often as it likes. */
function agentPart({ virtualMachines }: LinuxUtilityVMHostStatus): Partial<LinuxUtilityVMHostStatus> {
  return virtualMachines === undefined ? {} : { virtualMachines };
}

function sameStatus(a: LinuxUtilityVMHostStatus, b: LinuxUtilityVMHostStatus): boolean {
  return sameJson(a, b);
}
