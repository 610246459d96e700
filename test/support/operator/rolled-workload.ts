// A workload whose replicas a test makes ready and unready by hand: a LinuxUtilityVMSet, or a StatefulSet. Both are driven
// through the API server, and can be asked for their state once their controller has nothing left to do.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { apiVersion, ordinalLabel, restartedAtAnnotation, revisionLabel, setLabel } from '../../../crds/names.ts';
import type { OperatorFixture } from './fixture.ts';
import { observedMachine, type ScriptedAgent } from './scripted-agent.ts';

export interface Settings {
  readonly replicas: number;
  readonly maxUnavailable: number;
  readonly partition: number;
}

export interface Snapshot {
  /** The counts of the workload's status. */
  readonly available: number;
  readonly updated: number;
  /**
   * A letter for each ordinal: a for the revision of the beginning and b for a later one, a capital letter if the replica
   * is ready. A point where there is none, or where it changes.
   */
  readonly replicas: string;
}

export interface RolledWorkload {
  create(settings: Settings): Promise<void>;
  /** Restarts all replicas, as `kubectl rollout restart` does. */
  restart(): Promise<void>;
  setReady(ordinal: number, isReady: boolean): Promise<void>;
  /** Its controller has seen everything that happened before, and acts no more. */
  settled(): Promise<Snapshot>;
}

interface Replica {
  readonly ordinal: number;
  readonly revision: string;
  readonly isReady: boolean;
  /** What runs it has not done yet what it has to do, or has not said so. */
  readonly isMoving: boolean;
}

const workload = z.looseObject({
  metadata: z.looseObject({ generation: z.number() }),
  spec: z.looseObject({ replicas: z.number(), revisionHistoryLimit: z.number() }),
  status: z
    .looseObject({
      observedGeneration: z.number().default(0),
      availableReplicas: z.number().default(0),
      updatedReplicas: z.number().default(0),
    })
    .prefault({}),
});

const conditions = z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]);
const replicaObjects = z.object({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({
        uid: z.string(),
        name: z.string(),
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()).default({}),
        deletionTimestamp: z.string().optional(),
      }),
      status: z.looseObject({ conditions, restartedAt: z.string().optional() }).prefault({}),
    }),
  ),
});

const pollMilliseconds = 50;
const patienceMilliseconds = 60_000;

abstract class Workload implements RolledWorkload {
  protected readonly fixture: OperatorFixture;
  protected readonly name: string;
  protected readonly path: string;
  #firstRevision: string | undefined;

  constructor(fixture: OperatorFixture, name: string, collection: string) {
    this.fixture = fixture;
    this.name = name;
    this.path = `${collection}/${name}`;
  }

  abstract create(settings: Settings): Promise<void>;
  abstract restart(): Promise<void>;
  abstract setReady(ordinal: number, isReady: boolean): Promise<void>;
  protected abstract replicas(): Promise<readonly Replica[]>;

  async settled(): Promise<Snapshot> {
    const deadline = Date.now() + patienceMilliseconds;
    let last: Snapshot | undefined;
    while (Date.now() < deadline) {
      const now = await this.#snapshot(await this.#acknowledged(deadline));
      if (JSON.stringify(now) === JSON.stringify(last) && !now.replicas.includes('.')) return now;
      last = now;
    }
    throw new Error(`${this.path} does not come to rest: ${JSON.stringify(last)}`);
  }

  protected async patch(body: object): Promise<void> {
    const contentType = 'application/merge-patch+json';
    await this.fixture.request({ method: 'PATCH', path: this.path, contentType, body });
  }

  /** Changes a field that means nothing here, and waits until the controller has finished a pass that saw the change. */
  async #acknowledged(deadline: number): Promise<z.infer<typeof workload>> {
    const { spec } = await this.#read();
    await this.patch({ spec: { revisionHistoryLimit: spec.revisionHistoryLimit === 10 ? 11 : 10 } });
    while (Date.now() < deadline) {
      const now = await this.#read();
      if (now.status.observedGeneration === now.metadata.generation) return now;
      await sleep(pollMilliseconds);
    }
    throw new Error(`nobody looks after ${this.path}`);
  }

  async #read(): Promise<z.infer<typeof workload>> {
    return workload.parse(await this.fixture.request({ method: 'GET', path: this.path }));
  }

  async #snapshot({ spec, status }: z.infer<typeof workload>): Promise<Snapshot> {
    const replicas = await this.replicas();
    this.#firstRevision ??= replicas[0]?.revision;
    const letters = Array.from({ length: spec.replicas }, (_, ordinal) => {
      const replica = replicas.find((each) => each.ordinal === ordinal);
      if (replica === undefined || replica.isMoving) return '.';
      const letter = replica.revision === this.#firstRevision ? 'a' : 'b';
      return replica.isReady ? letter.toUpperCase() : letter;
    });
    return { available: status.availableReplicas, updated: status.updatedReplicas, replicas: letters.join('') };
  }
}

const isReadyBy = (found: z.infer<typeof conditions>) =>
  found.some(({ type, status }) => type === 'Ready' && status === 'True');

/** With the pod management policy `Parallel`. Nothing runs its pods. */
export class StatefulSetWorkload extends Workload {
  constructor(fixture: OperatorFixture, name: string) {
    super(fixture, name, '/apis/apps/v1/namespaces/default/statefulsets');
  }

  async create({ replicas, maxUnavailable, partition }: Settings): Promise<void> {
    const labels = { app: this.name };
    const body = {
      ...{ apiVersion: 'apps/v1', kind: 'StatefulSet', metadata: { name: this.name } },
      spec: {
        ...{ replicas, revisionHistoryLimit: 10, podManagementPolicy: 'Parallel', selector: { matchLabels: labels } },
        template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'none' }] } },
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable, partition } },
      },
    };
    await this.fixture.request({ method: 'POST', path: this.path.slice(0, this.path.lastIndexOf('/')), body });
  }

  async restart(): Promise<void> {
    const annotations = { 'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z' };
    await this.patch({ spec: { template: { metadata: { annotations } } } });
  }

  async setReady(ordinal: number, isReady: boolean): Promise<void> {
    const status = isReady ? 'True' : 'False';
    const contentType = 'application/merge-patch+json';
    const body = { status: { phase: 'Running', conditions: [{ type: 'Ready', status }] } };
    const path = `/api/v1/namespaces/default/pods/${this.name}-${ordinal}/status`;
    await this.fixture.request({ method: 'PATCH', path, contentType, body });
  }

  protected async replicas(): Promise<readonly Replica[]> {
    const query = { labelSelector: `app=${this.name}` };
    const path = '/api/v1/namespaces/default/pods';
    const { items } = replicaObjects.parse(await this.fixture.request({ method: 'GET', path, query }));
    return items.map(({ metadata, status }) => ({
      ordinal: Number(metadata.labels['apps.kubernetes.io/pod-index']),
      revision: metadata.labels['controller-revision-hash'] ?? '',
      isReady: isReadyBy(status.conditions),
      isMoving: metadata.deletionTimestamp !== undefined,
    }));
  }
}

/** The agent starts its VMs, and none becomes ready by itself. */
export class MachineSetWorkload extends Workload {
  readonly #agent: ScriptedAgent;

  constructor(fixture: OperatorFixture, name: string, agent: ScriptedAgent) {
    super(fixture, name, `/apis/${apiVersion}/namespaces/default/linuxutilityvmsets`);
    this.#agent = agent;
  }

  async create({ replicas, maxUnavailable, partition }: Settings): Promise<void> {
    const body = {
      ...{ apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: this.name } },
      spec: { replicas, maxUnavailable, update: { partition }, template: { spec: { memory: { sizeInMB: 64 } } } },
    };
    await this.fixture.request({ method: 'POST', path: this.path.slice(0, this.path.lastIndexOf('/')), body });
  }

  async restart(): Promise<void> {
    const annotations = { 'lcow.dev/restartedAt': '2026-01-01T00:00:00Z' };
    await this.patch({ spec: { template: { metadata: { annotations } } } });
  }

  async setReady(ordinal: number, isReady: boolean): Promise<void> {
    const found = (await this.#objects()).find(({ metadata }) => ordinalOf(metadata.labels) === ordinal);
    const assignment = this.#agent.assignments.get(found?.metadata.uid ?? '');
    if (assignment === undefined) throw new Error(`the agent has no VM with ordinal ${ordinal} of ${this.name}`);
    if (isReady) this.#agent.run(assignment);
    else startUnready(this.#agent, assignment);
    await this.#untilReported(ordinal, isReady);
  }

  protected async replicas(): Promise<readonly Replica[]> {
    return (await this.#objects()).map(({ metadata, status }) => ({
      ordinal: ordinalOf(metadata.labels),
      revision: metadata.labels[revisionLabel] ?? '',
      isReady: isReadyBy(status.conditions),
      isMoving:
        !this.#agent.machines.has(metadata.uid) || metadata.annotations[restartedAtAnnotation] !== status.restartedAt,
    }));
  }

  async #objects() {
    const query = { labelSelector: `${setLabel}=${this.name}` };
    const path = `/apis/${apiVersion}/namespaces/default/linuxutilityvms`;
    return replicaObjects.parse(await this.fixture.request({ method: 'GET', path, query })).items;
  }

  /** Until the operator has written what the agent says. */
  async #untilReported(ordinal: number, isReady: boolean): Promise<void> {
    const deadline = Date.now() + patienceMilliseconds;
    while (Date.now() < deadline) {
      const replicas = await this.replicas();
      if (replicas.some((each) => each.ordinal === ordinal && each.isReady === isReady)) return;
      await sleep(pollMilliseconds);
    }
    throw new Error(`the report about ${this.name}-${ordinal} is not stored`);
  }
}

function ordinalOf(labels: Readonly<Record<string, string>>): number {
  return Number(labels[ordinalLabel]);
}

/** What an agent says of a VM that it has started, and whose guest has not come up. */
export function startUnready(agent: ScriptedAgent, assignment: Parameters<ScriptedAgent['run']>[0]): void {
  agent.run(assignment);
  const started = agent.machines.get(assignment.uid) ?? observedMachine(assignment.uid);
  agent.observe({
    ...started,
    phase: 'Starting',
    conditions: [{ type: 'Ready', status: 'False', reason: 'Starting', message: 'boots' }],
  });
}
