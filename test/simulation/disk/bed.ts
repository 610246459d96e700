// A simulated disk and a process that uses it, with nothing else in the world.
import type { FileSystem } from '../../../agent/node/file-system.ts';
import { Process } from '../process.ts';
import { World } from '../world.ts';
import { type DiskSettings, SimulatedDisk } from './disk.ts';

export interface DiskBed {
  readonly world: World;
  readonly disk: SimulatedDisk;
  /** How often each kind of fault happened. */
  readonly injected: ReadonlyMap<string, number>;
  /** A new process of the host. */
  start(): Process;
  /** Runs the world until the body is done, or until `end`. Undefined when the body did not get done. */
  run<T>(body: () => Promise<T>, end?: () => boolean): Promise<T | undefined>;
  /** The same in a process that does not die. */
  use<T>(body: (files: FileSystem) => Promise<T>): Promise<T>;
}

export function diskBed(seed: number, settings: DiskSettings = {}): DiskBed {
  const world = new World({ seed });
  const injected = new Map<string, number>();
  const count = (kind: string) => injected.set(kind, (injected.get(kind) ?? 0) + 1);
  const disk = new SimulatedDisk({ world, name: 'host', settings, injected: count });
  let processes = 0;
  const bed: DiskBed = {
    world,
    disk,
    injected,
    start() {
      processes += 1;
      return new Process(world, `agent ${processes}`);
    },
    async run(body, end = () => false) {
      let outcome: PromiseSettledResult<Awaited<ReturnType<typeof body>>> | undefined;
      const done = Promise.allSettled([body()]).then(([settled]) => {
        outcome = settled;
      });
      // The body comes to its first call.
      await new Promise<void>((resolve) => setImmediate(resolve));
      await world.run(Number.POSITIVE_INFINITY, () => outcome !== undefined || end());
      if (outcome === undefined) return undefined;
      await done;
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    },
    async use(body) {
      const files = disk.fileSystemFor(bed.start());
      const result = await bed.run(async () => ({ value: await body(files) }));
      if (result === undefined) throw new Error('nothing is left to happen, and the body is not done');
      return result.value;
    },
  };
  return bed;
}
