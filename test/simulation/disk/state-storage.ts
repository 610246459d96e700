// The storage of a simulated host for one of its processes: its disk, and the lock that its agents compete for.
import type { HeldLock, StateStorage } from '../../../agent/node/state-storage.ts';
import type { Process } from '../process.ts';
import type { SimulatedDisk } from './disk.ts';

export class SimulatedStorage {
  readonly #disk: SimulatedDisk;
  #holder: Process | undefined;

  constructor(disk: SimulatedDisk) {
    this.#disk = disk;
  }

  for(process: Process): StateStorage {
    return {
      files: this.#disk.fileSystemFor(process),
      // The folder is older than the simulation, so no power failure takes it away.
      openFolder: async (stateDir) => this.#disk.putFolder(stateDir),
      folderProblem: async () => undefined,
      locks: () => [
        () =>
          process.call(
            'lock',
            'lock of the node',
            () => 1,
            () => this.#tryLock(process),
          ),
      ],
    };
  }

  #tryLock(process: Process): HeldLock | undefined {
    if (this.#holder !== undefined) return undefined;
    this.#holder = process;
    const release = () => {
      if (this.#holder === process) this.#holder = undefined;
    };
    process.onDeath(release);
    return { release };
  }
}
