// The whole system in one world: an API server, replicas of the operator, Windows machines with their agents, and the
// network between them.
import { type Logger, pino } from 'pino';
import { defaultLinkTimes } from '../../../agent/bounds/timeouts.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { systemId } from '../../../simulator/wire/rpc.ts';
import type { TokenUser } from '../api-server/answers.ts';
import { usualProbabilities } from '../api-server/faults.ts';
import { SimulatedApiServer } from '../api-server/server.ts';
import type { Write } from '../api-server/store.ts';
import { reachTransition } from '../coverage.ts';
import { SimulatedDisk } from '../disk/disk.ts';
import { Fates } from '../fates.ts';
import { SimulatedHost } from '../host/host.ts';
import { type Messages, SimulatedNetwork } from '../network/network.ts';
import type { FaultKind, Profile } from '../profile.ts';
import { disksOfSets } from '../sets.ts';
import type { World } from '../world.ts';
import { bootFolder, diskOf, domainsOf, memoryOfHost } from './host-names.ts';
import { SimulatedMachine } from './simulated-machine.ts';
import { SimulatedOperator } from './simulated-operator.ts';
import { agentUserName, Tokens } from './tokens.ts';

export interface SystemOptions {
  readonly world: World;
  readonly profile: Profile;
  readonly injected: (kind: string) => void;
  readonly onWrite: (write: Write) => void;
  readonly messages: Messages;
  /** Whether the programs' own log lines are part of the trace. */
  readonly logs: boolean;
}

export class SimulatedSystem {
  readonly world: World;
  readonly profile: Profile;
  readonly api: SimulatedApiServer;
  readonly network: SimulatedNetwork;
  readonly operators: readonly SimulatedOperator[];
  readonly machines: readonly SimulatedMachine[];
  readonly tokens: Tokens;
  readonly #logs: boolean;
  /** By name: what somebody does once no VM has the name. */
  readonly #whenFree = new Map<string, () => void>();

  constructor({ injected, logs, messages, onWrite, profile, world }: SystemOptions) {
    this.world = world;
    this.profile = profile;
    this.#logs = logs;
    const clock = world.clock('API server');
    this.tokens = new Tokens(clock.now);
    const { kinds } = profile;
    this.api = new SimulatedApiServer({
      world,
      settings: { faults: kinds.has('API server faults') ? usualProbabilities : {} },
      injected,
      onWrite: (write) => {
        onWrite(write);
        if (write.kind === 'LinuxUtilityVM' && write.after === undefined) this.#freed(write.before?.metadata.name);
      },
      reviewToken: (token) => this.#review(token),
    });
    this.network = new SimulatedNetwork({
      world,
      settings: {
        latency: kinds.has('slow network') ? 500 : 10,
        losses: kinds.has('connections lost') ? 0.3 : 0,
        silence: kinds.has('connections unanswered') ? 0.1 : 0,
      },
      injected,
      messages,
    });
    const loggerOf = (process: string) => this.#loggerOf(process);
    const accessFor = this.api.accessFor.bind(this.api);
    const { network } = this;
    const fates = new Fates(world, profile.spans.safety);
    const fateOf = (kind: FaultKind) => (strike: () => void) => {
      const die = () => {
        injected(kind);
        strike();
      };
      return kinds.has(kind) ? fates.fate(die) : undefined;
    };
    const renewal = kinds.has('renewals') ? 60_000 : defaultLinkTimes.renewal;
    this.operators = Array.from(
      { length: profile.replicas },
      (_, index) =>
        new SimulatedOperator(`operator-${index + 1}`, {
          ...{ world, network, accessFor, loggerOf, look: profile.look },
          fate: fateOf('operator death in a call'),
        }),
    );
    this.machines = Array.from({ length: profile.hosts }, (_, index) => {
      const name = `node-${index + 1}`;
      const host = new SimulatedHost({
        world,
        name,
        host: hostFile(profile, index < profile.isolatingHosts),
        settings: { faults: profile.hostFaults },
        injected,
      });
      const disk = new SimulatedDisk({ world, name, settings: { faults: profile.diskFaults }, injected });
      const token = () => this.#tokenOf(name);
      return new SimulatedMachine({
        ...{ world, network, host, disk, token, loggerOf, renewal },
        fate: fateOf('agent death in a call'),
      });
    });
  }

  start(): void {
    for (const { name } of this.machines) {
      this.addNode(name);
      this.#limit(name);
    }
    for (const operator of this.operators) operator.start();
    for (const machine of this.machines) {
      this.#addForeign(machine);
      machine.startAgent();
    }
  }

  /** An administrator has prepared the record of the host. */
  #limit(name: string): void {
    const { room } = this.profile;
    if (room === undefined) return;
    this.api.users.create('LinuxUtilityVMHost', { metadata: { name }, spec: { maxVirtualMachines: room } });
  }

  /** Systems that are none of the agent's business. One of them has an id like a VM's. */
  #addForeign({ host, name }: SimulatedMachine): void {
    const uid = this.world.chance(`foreign systems of ${name}`).uuid();
    for (const id of ['a-container', `luvm-${uid}`]) {
      host.addForeign(systemId.parse(id)).catch((error: unknown) => this.world.note(messageOf(error)));
    }
  }

  /** Runs `task` soon after the VM of this name has gone; of several tasks, only the last one. */
  whenFree(name: string, task: () => void): void {
    this.#whenFree.set(name, task);
  }

  #freed(name = ''): void {
    const task = this.#whenFree.get(name);
    if (task === undefined || !this.#whenFree.delete(name)) return;
    this.world.after(1, `successor of ${name}`, task);
  }

  /** A machine that was repaired joins the cluster again, as a new Node if somebody has removed it. */
  join(machine: SimulatedMachine | undefined): void {
    if (machine === undefined) return;
    if (this.api.users.get('Node', { name: machine.name }) === undefined) this.addNode(machine.name);
    machine.repair();
  }

  addNode(name: string): void {
    this.api.users.create('Node', {
      metadata: { name, labels: { 'kubernetes.io/os': 'windows', ...domainsOf(name) } },
      spec: {},
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    });
  }

  #review(token: string): TokenUser | undefined {
    const issued = this.tokens.find(token);
    if (issued === undefined) return undefined;
    return {
      username: agentUserName,
      extra: {
        'authentication.kubernetes.io/node-name': [issued.nodeName],
        'authentication.kubernetes.io/node-uid': [issued.nodeUID],
      },
    };
  }

  machine(name: string): SimulatedMachine | undefined {
    return this.machines.find((machine) => machine.name === name);
  }

  /** What the clock of a host shows beyond the true time, in milliseconds. */
  skew(name: string, milliseconds: number): void {
    const machine = this.machine(name);
    if (machine !== undefined) machine.skew = milliseconds;
  }

  #tokenOf(name: string): string {
    const uid = this.api.users.get('Node', { name })?.metadata.uid;
    return this.tokens.issue(name, uid ?? 'no-node');
  }

  #loggerOf(process: string): Logger {
    const { world } = this;
    const logs = this.#logs;
    return pino(
      {
        level: 'debug',
        base: {},
        timestamp: false,
        formatters: { level: (label) => ({ level: label }) },
        hooks: {
          // Making a line costs more than all else about it, so most are only looked at.
          logMethod(parameters, log, level) {
            if (level === pino.levels.values['debug']) reachTransition(world, parameters);
            else if (logs) log.apply(this, parameters);
          },
        },
      },
      { write: (line) => world.note(`${process}: ${line.trimEnd()}`) },
    );
  }
}

function hostFile({ machines, sets }: Profile, isolates: boolean) {
  const ofMachines = Array.from({ length: machines }, (_, index) => diskOf(`vm-${index + 1}`));
  const disks = [...ofMachines, ...(sets > 0 ? disksOfSets : [])].map((path) => [path, 3_000] as const);
  return simulatedHostFile.parse({
    build: 20_348,
    logicalProcessors: 64,
    memoryInMB: memoryOfHost,
    isolation: isolates ? ['SNP'] : [],
    bootFilesPath: bootFolder,
    files: {
      [`${bootFolder}\\vmlinux`]: 1_000,
      [`${bootFolder}\\kernel`]: 1_000,
      [`${bootFolder}\\initrd.img`]: 2_000,
      [`${bootFolder}\\rootfs.vhd`]: 2_000,
      [`${bootFolder}\\kernel.vmgs`]: 1_000,
      ...Object.fromEntries(disks),
    },
    timing: { bootMilliseconds: 2_000, initMilliseconds: 500, logIntervalMilliseconds: 0, redialMilliseconds: 1_000 },
  });
}
