// What every part of the bench needs: a control plane with Nodes, the operator, and agents.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { type ControlPlane, startControlPlane } from '../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../support/control-plane/custom-resources.ts';
import { processesBelow } from '../process-use.ts';
import { Agents } from './agents/agents.ts';
import { FleetCluster } from './cluster.ts';
import { OperatorProcess } from './operator-process.ts';

export interface BedSettings {
  readonly agents: number;
  readonly bootMilliseconds: number;
  readonly profile: string | undefined;
}

export class FleetBed implements AsyncDisposable {
  readonly cluster: FleetCluster;
  readonly operator: OperatorProcess;
  readonly agents: Agents;
  readonly certificates: Certificates;
  readonly #controlPlane: ControlPlane;
  readonly #directory: string;
  readonly #useBefore: ProcessorSeconds;

  private constructor(
    controlPlane: ControlPlane,
    directory: string,
    certificates: Certificates,
    operator: OperatorProcess,
    agents: Agents,
    useBefore: ProcessorSeconds,
  ) {
    this.#useBefore = useBefore;
    this.#controlPlane = controlPlane;
    this.#directory = directory;
    this.certificates = certificates;
    this.operator = operator;
    this.agents = agents;
    this.cluster = new FleetCluster(controlPlane.kubeconfigPath);
  }

  /** The operator and the agents are not started yet. */
  static async prepare({ agents, bootMilliseconds, profile }: BedSettings): Promise<FleetBed> {
    const useBefore = await processorSeconds();
    const directory = await mkdtemp(join(tmpdir(), 'fleet-'));
    // A controller manager would find all Nodes dead, and write so.
    const controlPlane = await startControlPlane({ controllers: false });
    try {
      await installCustomResources(controlPlane);
      const certificates = await makeCertificates();
      const { kubeconfigPath } = controlPlane;
      const operator = await OperatorProcess.prepare({ directory, kubeconfigPath, certificates, agents, profile });
      const fleet = new Agents(bootMilliseconds);
      const bed = new FleetBed(controlPlane, directory, certificates, operator, fleet, useBefore);
      await bed.cluster.createNodes(0, agents);
      return bed;
    } catch (error) {
      await controlPlane.stop();
      throw error;
    }
  }

  /** Starts the operator, and connects this many agents. */
  async start(agents: number, patienceMilliseconds: number): Promise<void> {
    const port = await this.operator.start();
    await this.agents.join(agents, { port, authority: this.certificates.authority });
    await this.agents.untilLive(patienceMilliseconds);
  }

  /** Of the processes that run now, since `prepare`. */
  async processorSeconds(): Promise<ProcessorSeconds> {
    const now = await processorSeconds();
    return Object.fromEntries(Object.entries(now).map(([name, each]) => [name, each - (this.#useBefore[name] ?? 0)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agents[Symbol.asyncDispose]();
    await this.operator.stop();
    await this.#controlPlane.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Seconds by program. */
type ProcessorSeconds = Readonly<Record<string, number>>;

/** Of this process and all that it started. */
async function processorSeconds(): Promise<ProcessorSeconds> {
  const seconds: Record<string, number> = {};
  for (const { program, processorSeconds: each } of await processesBelow(process.pid)) {
    const name = plainNames.find(([pattern]) => pattern.test(program))?.[1] ?? 'others';
    seconds[name] = (seconds[name] ?? 0) + each;
  }
  return seconds;
}

const plainNames = [
  [/operator/, 'operator'],
  [/fleet\/agents/, 'agents'],
  [/fleet\/bare-server/, 'bare server'],
  [/test\/bench/, 'bench'],
  [/apiserver/, 'kube-apiserver'],
  [/etcd/, 'etcd'],
] as const;
