// The document with which each VM was created last, as a file in the VM's folder: the exact text that was sent to HCS.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './replace-file.ts';

/** Keeps the document with which each VM was created last, for people to look at. */
export interface SentDocuments {
  keep(uid: string, document: string): Promise<void>;
  read(uid: string): Promise<string | undefined>;
}

const documentName = 'document.json';

export class SentDocumentFiles implements SentDocuments {
  readonly #machines: string;

  /** @param stateDir the agent's state folder */
  constructor(stateDir: string) {
    this.#machines = join(stateDir, 'vms');
  }

  async keep(uid: string, document: string): Promise<void> {
    const folder = join(this.#machines, uid);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, documentName);
    await writeFile(`${path}.new`, document, { mode: 0o600 });
    await replaceFile(`${path}.new`, path);
  }

  async read(uid: string): Promise<string | undefined> {
    return await readFile(join(this.#machines, uid, documentName), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
  }
}
