// The copy of a simulated node's files in its state folder: files survive a reboot of the node.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type FileEntry, fileEntry } from '../wire/file-entry.ts';

export class SavedFiles {
  readonly #file: string;
  #saved: Promise<void> = Promise.resolve();

  constructor(stateDirectory: string) {
    this.#file = join(stateDirectory, 'files.json');
  }

  /** Undefined before the first `save`. */
  async load(): Promise<readonly FileEntry[] | undefined> {
    const saved = await readFile(this.#file, 'utf8').catch(() => undefined);
    return saved === undefined ? undefined : z.array(fileEntry).parse(JSON.parse(saved));
  }

  /** Writes one at a time, each with the newest entries. */
  save(entries: () => readonly FileEntry[]): Promise<void> {
    this.#saved = this.#saved
      .catch(() => {})
      .then(async () => {
        await writeFile(`${this.#file}.new`, JSON.stringify(entries()));
        await rename(`${this.#file}.new`, this.#file);
      });
    return this.#saved;
  }

  static async in(stateDirectory: string): Promise<SavedFiles> {
    await mkdir(stateDirectory, { recursive: true });
    return new SavedFiles(stateDirectory);
  }
}
