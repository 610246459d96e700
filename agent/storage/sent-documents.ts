// The document with which each VM was created last, as a file in the VM's folder: the exact text that was sent to HCS.
import { join } from 'node:path';
import { type FileSystem, undefinedIfMissing } from '../node/file-system.ts';

/** Keeps the document with which each VM was created last, for people to look at. */
export interface SentDocuments {
  keep(uid: string, document: string): Promise<void>;
  read(uid: string): Promise<string | undefined>;
}

const documentName = 'document.json';

export class SentDocumentFiles implements SentDocuments {
  readonly #files: FileSystem;
  readonly #machines: string;

  /** @param stateDir the agent's state folder */
  constructor(files: FileSystem, stateDir: string) {
    this.#files = files;
    this.#machines = join(stateDir, 'vms');
  }

  async keep(uid: string, document: string): Promise<void> {
    const folder = join(this.#machines, uid);
    await this.#files.mkdir(folder);
    const path = join(folder, documentName);
    await this.#write(`${path}.new`, document);
    await this.#files.rename(`${path}.new`, path);
  }

  async read(uid: string): Promise<string | undefined> {
    return await this.#files.readFile(join(this.#machines, uid, documentName)).catch(undefinedIfMissing);
  }

  async #write(path: string, text: string): Promise<void> {
    const file = await this.#files.open(path, 'w');
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  }
}
