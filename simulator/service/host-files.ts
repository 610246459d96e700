// The agent's file calls to the simulated node: scripted failures, and files that VMs hold open.
import { HcsError } from '../../agent/node/hcs-error.ts';
import { type FileFact, type OpenFile, tooLarge, type VmGroupAccess } from '../../agent/node/host.ts';
import type { HostFacts } from '../../protocol/messages.ts';
import type { SimulatedHostFile } from '../host-file.ts';
import type { FileEntry } from '../wire/file-entry.ts';
import type { Step, Visiting } from '../wire/script.ts';
import { causes, FileTable, keyOf } from './file-table.ts';

/** A failure of a file call, worded like Windows. */
export class FileFailure extends Error {
  override readonly name = 'FileFailure';
}

export interface HostFilesOptions {
  readonly host: SimulatedHostFile;
  /** The files of an earlier run of the node; absent = those of its description. */
  readonly entries?: Iterable<FileEntry> | undefined;
  readonly script: Visiting;
  /** Paths that nobody can replace or delete now. */
  readonly openFiles: () => readonly string[];
  /** Called after each change. A change returns once its files are kept. */
  readonly save?: (entries: () => readonly FileEntry[]) => Promise<void>;
}

export class HostFiles {
  readonly table: FileTable;
  readonly #options: HostFilesOptions;

  constructor(options: HostFilesOptions, table?: FileTable) {
    this.#options = options;
    const { entries, host } = options;
    this.table = table ?? new FileTable(entries ?? describedFiles(host), host.bootFilesPath, host.links);
  }

  /** The same files for a caller whose calls have a script of their own. */
  with(script: Visiting): HostFiles {
    return new HostFiles({ ...this.#options, script }, this.table);
  }

  async facts(): Promise<HostFacts> {
    const { host, script } = this.#options;
    const verdict = await script.visit('facts', {});
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const { architecture, bootFilesPath, build, isolation, logicalProcessors, memoryInMB } = host;
    return {
      osBuild: build,
      architecture,
      logicalProcessors,
      memoryInMB,
      numaNodes: host.numaNodes ?? [{ number: 0, logicalProcessors, memoryInMB }],
      isolation,
      bootFiles: [{ path: bootFilesPath, files: this.table.list(bootFilesPath).slice(0, 256) }],
    };
  }

  async stat(path: string): Promise<FileFact> {
    const verdict = await this.#options.script.visit('stat', { path });
    return verdict.kind === 'fail' ? { kind: 'error', message: verdict.message } : this.table.stat(path);
  }

  /** Undefined when there is no such file or folder. */
  async open(path: string): Promise<Omit<OpenFile, 'read'> | undefined> {
    const verdict = await this.#options.script.visit('openFile', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    return this.table.open(path);
  }

  async readPiece(path: string, offset: number, length: number): Promise<Buffer> {
    const verdict = await this.#options.script.visit('read', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const bytes = this.table.read(path, offset, length);
    if (bytes === undefined) throw new FileFailure(causes.accessDenied);
    return bytes;
  }

  /** Undefined when there is no such file. */
  async read(path: string, maxBytes: number): Promise<Buffer | undefined> {
    const verdict = await this.#options.script.visit('read', { path });
    if (verdict.kind === 'fail') throw new FileFailure(verdict.message);
    const fact = this.table.stat(path);
    if (fact.kind === 'notFound') return undefined;
    if (fact.kind !== 'file') throw new FileFailure(causes.accessDenied);
    if (fact.size > maxBytes) throw new FileFailure(tooLarge(path, fact.size, maxBytes));
    return this.table.read(path, 0, fact.size);
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

  async #save(): Promise<void> {
    await this.#options.save?.(() => this.table.entries());
  }
}

function describedFiles({ files }: SimulatedHostFile): readonly FileEntry[] {
  return Object.entries(files).map(([path, file]) => ({
    path,
    isGranted: false,
    ...(typeof file === 'number' ? { size: file } : file),
  }));
}
