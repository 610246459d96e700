// What a client that watches sees of the VMs, with the time at which it sees it.
import { z } from 'zod';
import type { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { list, type WatchEvent, watch } from '../../../operator/kubernetes/watch.ts';
import { type FleetCluster, machinesPath } from './cluster.ts';

const hour = 3_600;
const mostWatches = 20;

const seen = z.object({
  metadata: z.object({ name: z.string(), uid: z.string(), generation: z.number() }),
  status: z
    .object({
      observedGeneration: z.number().default(0),
      restartedAt: z.string().optional(),
      memorySizeInMB: z.number().optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
    })
    .default({ observedGeneration: 0, conditions: [] }),
});

export interface SeenMachine {
  readonly name: string;
  readonly uid: string;
  readonly isReady: boolean;
  /** Its agent has answered the newest spec. */
  readonly isCurrent: boolean;
  readonly restartedAt: string | undefined;
  readonly memorySizeInMB: number | undefined;
}

export class MachineWatch implements AsyncDisposable {
  readonly machines = new Map<string, SeenMachine>();
  /** When a VM of this name was first ready. Milliseconds since the Unix epoch, with a part. */
  readonly readyAt = new Map<string, number>();
  /** Called after each change. */
  onChange: (now: number) => void = () => undefined;
  #ready = 0;
  readonly #aborting = new AbortController();
  #ended: Promise<string | undefined> = Promise.resolve(undefined);

  static async start({ client }: FleetCluster): Promise<MachineWatch> {
    const started = new MachineWatch();
    const { signal } = started.#aborting;
    const path = machinesPath;
    const listed = await list(client, { path }, signal, (items) => {
      for (const item of items) started.#apply(item);
    });
    if (!listed.ok) throw new Error(listed.error.message);
    started.#ended = started.#follow(client, listed.value);
    return started;
  }

  get ready(): number {
    return this.#ready;
  }

  /** Resolves when `holds` is true after a change. */
  async until(what: string, holds: () => boolean, patienceMilliseconds: number): Promise<void> {
    if (holds()) return;
    const before = this.onChange;
    const held = new Promise<undefined>((resolve) => {
      this.onChange = (now) => {
        before(now);
        if (holds()) resolve(undefined);
      };
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve(`not within ${patienceMilliseconds / 1000} s`), patienceMilliseconds);
    });
    const problem = await Promise.race([held, late, this.#ended]);
    clearTimeout(timer);
    this.onChange = before;
    if (problem !== undefined)
      throw new Error(`${what}: ${problem}; ${this.#ready} of ${this.machines.size} are ready`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#aborting.abort();
    await this.#ended;
  }

  /** The server may end a watch, which then continues where it was. Resolves with why it cannot. */
  async #follow(client: KubeHttp, from: string): Promise<string> {
    const { signal } = this.#aborting;
    let resourceVersion = from;
    for (let watches = 1; watches <= mostWatches; watches += 1) {
      const failed = await watch(client, {
        ...{ path: machinesPath, signal, resourceVersion, timeoutSeconds: hour, silenceMilliseconds: hour * 1000 },
        onEvent: (event) => {
          resourceVersion = event.resourceVersion;
          this.#take(event);
        },
      });
      if (failed !== undefined) return failed.message;
    }
    return `the server ended the watch ${mostWatches} times`;
  }

  #take(event: WatchEvent): void {
    if (event.type === 'Bookmark') return;
    if (event.type === 'Deleted') this.#forget(event.name);
    else this.#apply(event.object);
    this.onChange(performance.timeOrigin + performance.now());
  }

  #apply(object: unknown): void {
    const { metadata, status } = seen.parse(object);
    const { name, uid, generation } = metadata;
    const isReady = status.conditions.some((each) => each.type === 'Ready' && each.status === 'True');
    this.#forget(name);
    this.machines.set(name, {
      ...{ name, uid, isReady, isCurrent: status.observedGeneration === generation },
      restartedAt: status.restartedAt,
      memorySizeInMB: status.memorySizeInMB,
    });
    if (!isReady) return;
    this.#ready += 1;
    if (!this.readyAt.has(name)) this.readyAt.set(name, performance.timeOrigin + performance.now());
  }

  #forget(name: string): void {
    if (this.machines.get(name)?.isReady === true) this.#ready -= 1;
    this.machines.delete(name);
  }
}
