// The agent's file calls to the simulated node: scripted failures, files that VMs hold open, and a copy of the table in
// the state folder, because files survive a reboot of the node.
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { HcsError } from '../../agent/node/hcs-error.ts';
import { type FileFact, type OpenFile, tooLarge, type VmGroupAccess } from '../../agent/node/host.ts';
import type { SimulatedHostFile } from '../host-file.ts';
import { type FileEntry, fileEntry } from '../wire/file-entry.ts';
import type { Script, Step } from '../wire/script.ts';
import { causes, FileTable, keyOf } from './file-table.ts';

/** A failure of a file call, worded like Windows. */
export class FileFailure extends Error {
  override readonly name = 'FileFailure';
}

export interface HostFilesOptions {
  readonly host: SimulatedHostFile;
  readonly stateDirectory: string;
  readonly script: Script;
  /** Paths that nobody can replace or delete now. */
  readonly openFiles: () => readonly string[];
}

export class HostFiles {
  readonly table: FileTable;
  readonly #options: HostFilesOptions;
  #saved: Promise<void> = Promise.resolve();

  private constructor(options: HostFilesOptions, entries: Iterable<FileEntry>) {
    this.#options = options;
    this.table = new FileTable(entries, options.host.bootFilesPath, options.host.links);
  }

  /** Loads the files of an earlier run of the node, or else those of its description. */
  static async load(options: HostFilesOptions): Promise<HostFiles> {
    await mkdir(options.stateDirectory, { recursive: true });
    const saved = await readFile(join(options.stateDirectory, 'files.json'), 'utf8').catch(() => undefined);
    const described = Object.entries(options.host.files).map(([path, file]) => ({
      path,
      isGranted: false,
      ...(typeof file === 'number' ? { size: file } : file),
    }));
    return new HostFiles(options, saved === undefined ? described : z.array(fileEntry).parse(JSON.parse(saved)));
  }

  async stat(path: string): Promise<FileFact> {
    const verdict = await this.#options.script.visit('stat', { path });
    return verdict.kind === 'fail' ? { kind: 'error', message: verdict.message } : this.table.stat(path);
  }

  async open(path: string): Promise<{ readonly file?: Omit<OpenFile, 'read'> }> {
    const verdict = await this.#options.script.visit('openFile', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const file = this.table.open(path);
    return file === undefined ? {} : { file };
  }

  async readPiece(path: string, offset: number, length: number): Promise<{ readonly base64: string }> {
    const verdict = await this.#options.script.visit('read', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const bytes = this.table.read(path, offset, length);
    if (bytes === undefined) throw new FileFailure(causes.accessDenied);
    return { base64: bytes.toString('base64') };
  }

  async read(path: string, maxBytes: number): Promise<{ readonly base64?: string }> {
    const verdict = await this.#options.script.visit('read', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const fact = this.table.stat(path);
    if (fact.kind === 'notFound') return {};
    if (fact.kind !== 'file') throw new FileFailure(causes.accessDenied);
    if (fact.size > maxBytes) throw new FileFailure(tooLarge(path, fact.size, maxBytes));
    return { base64: (this.table.read(path, 0, fact.size) ?? Buffer.alloc(0)).toString('base64') };
  }

  copy(from: string, to: string): Promise<void> {
    return this.#change('copy', to, () => (this.#isOpen(to) ? causes.inUse : this.table.copy(from, to)));
  }

  delete(path: string): Promise<void> {
    return this.#change('delete', path, () => (this.#isOpen(path) ? causes.inUse : this.table.delete(path)));
  }

  grant(path: string, access: VmGroupAccess): Promise<void> {
    return this.#change('grant', path, () => {
      const cause = this.table.grant(path, access);
      return cause === undefined ? undefined : `GrantVmGroupAccess: os.Stat ${path}: ${cause}`;
    });
  }

  grantTo(id: string, path: string): Promise<void> {
    return this.#changeByService('HcsGrantVmAccess', 'grantVm', path, () => this.table.grantTo(id, path));
  }

  revokeFrom(id: string, path: string): Promise<void> {
    return this.#changeByService('HcsRevokeVmAccess', 'revokeVm', path, () => this.table.revokeFrom(id, path));
  }

  #isOpen(path: string): boolean {
    const key = keyOf(path);
    return this.#options.openFiles().some((each) => keyOf(each) === key);
  }

  async #change(step: Step, path: string, change: () => string | undefined): Promise<void> {
    const verdict = await this.#options.script.visit(step, { path });
    const cause = verdict.kind === 'fail' ? verdict.message : change();
    if (cause !== undefined) throw new FileFailure(cause);
    await this.#save();
  }

  /** For calls of HCS, which fail with an HRESULT. */
  async #changeByService(operation: string, step: Step, path: string, change: () => string | undefined): Promise<void> {
    const verdict = await this.#options.script.visit(step, { path });
    if (verdict.kind === 'fail') throw new HcsError(operation, verdict.hresult ?? 0x8000_4005, verdict.message);
    const cause = change();
    if (cause !== undefined) throw new HcsError(operation, 0x8007_0002, `${path}: ${cause}`);
    await this.#save();
  }

  /** Writes one at a time, each with the newest table. */
  #save(): Promise<void> {
    const file = join(this.#options.stateDirectory, 'files.json');
    this.#saved = this.#saved
      .catch(() => {})
      .then(async () => {
        await writeFile(`${file}.new`, JSON.stringify(this.table.entries()));
        await rename(`${file}.new`, file);
      });
    return this.#saved;
  }
}
