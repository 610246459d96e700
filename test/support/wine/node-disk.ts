// The disk of the Windows node for an agent under wine: the guests' boot files, and the agent's own folder.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export const bootFiles = {
  kernel: 'kernel',
  vmlinux: 'vmlinux',
  'initrd.img': 'initrd',
  'kernel.vmgs': 'state',
  'rootfs.vhd': 'root',
};

export class NodeDisk implements AsyncDisposable {
  /** The agent's default. */
  readonly stateDir: string;
  readonly #bootFolder: string;

  constructor(driveC: string) {
    this.stateDir = join(driveC, 'ProgramData', 'lcow');
    this.#bootFolder = join(driveC, 'Program Files', 'Linux Containers');
  }

  /** Prepares the state of a node before its first agent. */
  async prepare(): Promise<void> {
    await rm(this.stateDir, { recursive: true, force: true });
    await mkdir(this.#bootFolder, { recursive: true });
    for (const [name, content] of Object.entries(bootFiles)) {
      const path = join(this.#bootFolder, name);
      await rm(path, { force: true });
      // Windows shows the file as read-only, and its copies, too.
      await writeFile(path, content, { mode: 0o444 });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of [this.#bootFolder, this.stateDir]) await rm(folder, { recursive: true, force: true });
  }
}
