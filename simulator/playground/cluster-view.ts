// The VMs and hosts in the cluster, kept up to date with `kubectl get --watch`, as a user would.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Cluster } from '../../test/support/control-plane/control-plane.ts';

const metadata = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string(),
  creationTimestamp: z.string(),
  annotations: z.record(z.string(), z.string()).optional(),
});
const condition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string(),
  message: z.string().optional(),
});

const machine = z.object({
  kind: z.literal('LinuxUtilityVM'),
  metadata,
  status: z
    .object({
      phase: z.string().optional(),
      nodeName: z.string().optional(),
      restarts: z.number().optional(),
      conditions: z.array(condition).optional(),
      guestLog: z.object({ head: z.array(z.string()).optional(), tail: z.array(z.string()).optional() }).optional(),
    })
    .optional(),
});
export type Machine = z.infer<typeof machine>;

const host = z.object({
  kind: z.literal('LinuxUtilityVMHost'),
  metadata,
  status: z
    .object({
      osBuild: z.number().optional(),
      logicalProcessors: z.number().optional(),
      memoryInMB: z.number().optional(),
      conditions: z.array(condition).optional(),
    })
    .optional(),
});
export type Host = z.infer<typeof host>;

const watchEvent = z.object({ type: z.string(), object: z.discriminatedUnion('kind', [machine, host]) });

const watchRestart = 1_000;

export class ClusterView {
  readonly machines = new Map<string, Machine>();
  readonly hosts = new Map<string, Host>();
  readonly #cluster: Omit<Cluster, 'stop'>;
  readonly #onChange: () => void;
  readonly #children = new Set<ChildProcess>();
  #stopped = false;

  constructor(cluster: Omit<Cluster, 'stop'>, onChange: () => void) {
    this.#cluster = cluster;
    this.#onChange = onChange;
  }

  start(): void {
    this.#watch('linuxutilityvms');
    this.#watch('linuxutilityvmhosts');
  }

  stop(): void {
    this.#stopped = true;
    for (const child of this.#children) child.kill();
  }

  #watch(resource: string): void {
    const { kubectl, kubeconfigPath } = this.#cluster;
    const child = spawn(
      kubectl,
      ['--kubeconfig', kubeconfigPath, 'get', resource, '-A', '--watch', '--output-watch-events', '-o', 'json'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    this.#children.add(child);
    createInterface({ input: child.stdout }).on('line', (line) => this.#apply(JSON.parse(line)));
    child.once('exit', () => {
      this.#children.delete(child);
      if (!this.#stopped) setTimeout(() => this.#watch(resource), watchRestart).unref();
    });
  }

  #apply(json: unknown): void {
    const parsed = watchEvent.safeParse(json);
    if (!parsed.success) return;
    const { type, object } = parsed.data;
    const kept: Map<string, Machine | Host> = object.kind === 'LinuxUtilityVM' ? this.machines : this.hosts;
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    if (type === 'DELETED') kept.delete(key);
    else kept.set(key, object);
    this.#onChange();
  }
}
