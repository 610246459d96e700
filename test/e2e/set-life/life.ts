// The life of a set in a whole system: scaled, changed while it runs, restarted, taken back and drained, while the
// operator and agents are killed. Each part ends as specified, and a judge watches all writes meanwhile.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { apiVersion, restartedAtAnnotation, revisionLabel, setLabel, setPlural } from '../../../crds/names.ts';
import { simulatedHosts } from '../../../simulator/playground/system.ts';
import { ClusterApi } from '../../support/control-plane/cluster-api.ts';
import { RunningSystem } from '../../support/system/running-system.ts';
import { DisruptionJudge, type WatchedEvent, watchedEvent } from './disruption-judge.ts';
import { Kills } from './kills.ts';

export interface LifeOptions {
  readonly replicas: number;
  readonly hosts: number;
  readonly seed: number;
  /** In each part of the life. */
  readonly kills: number;
  /** For each part. */
  readonly patienceMilliseconds: number;
  readonly tell: (line: string) => void;
}

export interface LifeReport {
  readonly violations: readonly string[];
  readonly disruptions: number;
  readonly kills: number;
}

const set = 'life';
const setPath = `/apis/${apiVersion}/namespaces/default/${setPlural}/${set}`;
const machinesPath = `/apis/${apiVersion}/namespaces/default/linuxutilityvms`;
const plugin = fileURLToPath(new URL('../../../kubectl/main.ts', import.meta.url));
const run = promisify(execFile);

const storedSet = z.looseObject({
  metadata: z.looseObject({ generation: z.number() }),
  spec: z.looseObject({ replicas: z.number() }),
  status: z
    .looseObject({
      observedGeneration: z.number().default(0),
      availableReplicas: z.number().default(0),
      updatedReplicas: z.number().default(0),
      updateRevision: z.string().default(''),
      conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
    })
    .prefault({}),
});
const storedMachines = z.object({ items: z.array(watchedEvent.shape.object) });
type StoredMachine = WatchedEvent['object'];

export async function liveThrough(options: LifeOptions): Promise<LifeReport> {
  const { hosts } = options;
  await using running = await RunningSystem.start(simulatedHosts(hosts), undefined, undefined, { controllers: false });
  await using life = new Life(running, options);
  await life.live();
  return life.report;
}

class Life implements AsyncDisposable {
  readonly #running: RunningSystem;
  readonly #options: LifeOptions;
  readonly #api: ClusterApi;
  readonly #kills: Kills;
  readonly #judge: DisruptionJudge;
  readonly #maxUnavailable: number;
  #watch: ChildProcess | undefined;

  constructor(running: RunningSystem, options: LifeOptions) {
    this.#running = running;
    this.#options = options;
    this.#api = new ClusterApi(running.controlPlane.kubeconfigPath, 'life');
    this.#maxUnavailable = Math.max(2, Math.floor(options.replicas / 10));
    const judge = new DisruptionJudge(Math.ceil(options.replicas / 2), this.#maxUnavailable);
    this.#judge = judge;
    const { seed, replicas, tell } = options;
    const onAgent = (nodeName: string) => judge.losesAgent(nodeName);
    this.#kills = new Kills({ system: running.system, seed, mostEvents: replicas, onAgent, tell });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.kill();
    await this.#kills.end();
  }

  get report(): LifeReport {
    const { violations, disruptions } = this.#judge;
    return { violations, disruptions, kills: this.#kills.count };
  }

  async live(): Promise<void> {
    const { replicas } = this.#options;
    await this.#startWatch();
    await this.#part('made', () => this.#apply(Math.ceil(replicas / 2)));
    await this.#part('scaled', () => this.#scale(replicas));
    await this.#changeLive();
    const before = await this.#machines();
    await this.#part('changed with restarts', () => this.#change({ boot: { kernelOptions: 'quiet' } }));
    const restarted = await this.#machines();
    requireAll(restarted, 'was restarted', ({ metadata }) => metadata.annotations[restartedAtAnnotation] !== undefined);
    await this.#part('taken back', () => this.#undo());
    const [old] = before;
    requireAll(
      await this.#machines(),
      'has its former revision',
      ({ metadata }) => metadata.labels[revisionLabel] === old?.metadata.labels[revisionLabel],
    );
    requireSame(before, await this.#machines());
    await this.#drain();
  }

  async #changeLive(): Promise<void> {
    const before = await this.#machines();
    const disruptions = this.#judge.disruptions;
    await this.#part('changed live', () => this.#change({ memory: { sizeInMB: 128 } }));
    const after = await this.#machines();
    requireSame(before, after);
    if (this.#judge.disruptions !== disruptions) throw new Error('a live change took VMs away');
  }

  async #drain(): Promise<void> {
    const nodes = this.#running.system.nodes.map(({ name }) => name);
    const drained = nodes.slice(0, Math.max(1, Math.floor(nodes.length / 3)));
    const isOn = ({ status }: StoredMachine) => drained.includes(status.nodeName ?? '');
    await this.#part(
      'drained',
      () => this.#running.kubectl(['taint', 'node', ...drained, 'lcow.dev/drain=:NoExecute']),
      async () => !(await this.#machines()).some(isOn),
    );
  }

  /** Kills happen while the part is on, and all have to end well. */
  async #part(
    name: string,
    begin: () => Promise<unknown>,
    more: () => Promise<boolean> = async () => true,
  ): Promise<void> {
    const begun = performance.now();
    this.#kills.allow(this.#options.kills);
    await begin();
    await this.#running.until(
      `the set is ${name}`,
      async () => (await this.#isComplete()) && (await more()) && (await this.#isTrue()),
      this.#options.patienceMilliseconds,
    );
    await this.#kills.end();
    const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
    this.#options.tell(
      `${name} after ${seconds} s; ${this.#kills.count} kills, ${this.#judge.disruptions} disruptions so far`,
    );
  }

  /** The set says that it is as its manifest asks for. */
  async #isComplete(): Promise<boolean> {
    const { metadata, spec, status } = await this.#set();
    const isReady = status.conditions.some((each) => each.type === 'Ready' && each.status === 'True');
    return isReady && status.observedGeneration === metadata.generation && status.availableReplicas === spec.replicas;
  }

  /** The hosts have exactly the runs that the VMs show. */
  async #isTrue(): Promise<boolean> {
    if ((await this.#running.connectedHosts()) !== this.#options.hosts) return false;
    const shown = (await this.#machines()).map(({ status }) => status.runtimeID ?? '');
    const onHosts = await Promise.all(this.#running.system.nodes.map(({ name }) => this.#runsOn(name)));
    return shown.toSorted().join() === onHosts.flat().toSorted().join();
  }

  async #runsOn(node: string): Promise<readonly string[]> {
    const control = await this.#running.control(node);
    try {
      return (await control.systems()).filter(({ exit }) => exit === undefined).map(({ runtimeId }) => runtimeId ?? '');
    } finally {
      await control.close();
    }
  }

  async #apply(replicas: number): Promise<void> {
    const spec = {
      ...{ replicas, maxUnavailable: this.#maxUnavailable, update: { maxParallelLive: '50%' } },
      template: { spec: { memory: { sizeInMB: 64 }, processor: { count: 1 } } },
    };
    const manifest = { apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: set }, spec };
    await this.#running.kubectl(['create', '--filename=-'], JSON.stringify(manifest));
  }

  async #scale(replicas: number): Promise<void> {
    this.#judge.wants(replicas, Date.now());
    await this.#running.kubectl(['scale', `luvmset/${set}`, `--replicas=${replicas}`]);
  }

  async #change(spec: object): Promise<void> {
    await this.#api.send('PATCH', setPath, { spec: { template: { spec } } });
  }

  async #undo(): Promise<void> {
    const { kubeconfigPath } = this.#running.controlPlane;
    await run(process.execPath, [plugin, '--kubeconfig', kubeconfigPath, 'rollout', 'undo', `luvmset/${set}`]);
  }

  async #set(): Promise<z.infer<typeof storedSet>> {
    return storedSet.parse(await this.#api.send('GET', setPath));
  }

  async #machines(): Promise<readonly StoredMachine[]> {
    const { items } = storedMachines.parse(await this.#api.send('GET', machinesPath));
    return items.filter(({ metadata }) => metadata.labels[setLabel] === set);
  }

  async #startWatch(): Promise<void> {
    const { kubectl, kubeconfigPath } = this.#running.controlPlane;
    const resource = ['get', 'luvm', `--selector=${setLabel}=${set}`];
    const flags = ['--watch', '--output-watch-events', '--output=json', '--kubeconfig', kubeconfigPath];
    this.#watch = spawn(kubectl, [...resource, ...flags], { stdio: ['ignore', 'pipe', 'ignore'] });
    if (this.#watch.stdout === null) throw new Error('kubectl has no output');
    createInterface({ input: this.#watch.stdout }).on('line', (line) => this.#observe(line));
    await once(this.#watch, 'spawn');
  }

  #observe(line: string): void {
    this.#judge.observe(watchedEvent.parse(JSON.parse(line)), Date.now());
    this.#kills.event();
  }
}

function requireAll(
  machines: readonly StoredMachine[],
  what: string,
  holds: (machine: StoredMachine) => boolean,
): void {
  const others = machines.filter((each) => !holds(each)).map(({ metadata }) => metadata.name);
  if (others.length > 0) throw new Error(`not every VM ${what}: ${others.join(', ')}`);
}

/** The same objects: nothing was made anew. */
function requireSame(before: readonly StoredMachine[], after: readonly StoredMachine[]): void {
  const uids = new Set(after.map(({ metadata }) => metadata.uid));
  const others = before.filter(({ metadata }) => !uids.has(metadata.uid)).map(({ metadata }) => metadata.name);
  if (others.length > 0) throw new Error(`VMs are other objects than before: ${others.join(', ')}`);
}
