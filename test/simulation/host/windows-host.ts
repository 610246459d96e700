// The files and facts of a simulated host, as an agent on it uses them.
import type { FileFact, OpenFile, VmGroupAccess, WindowsHost } from '../../../agent/node/host.ts';
import type { HostFacts } from '../../../protocol/messages.ts';
import type { HostFiles } from '../../../simulator/service/host-files.ts';

type Call = <T>(name: string, effect: () => Promise<T>) => Promise<T>;

export class WorldWindowsHost implements WindowsHost {
  readonly #files: HostFiles;
  readonly #call: Call;

  /** `call` makes each call of the agent's process. */
  constructor(files: HostFiles, call: Call) {
    this.#files = files;
    this.#call = call;
  }

  facts(): Promise<HostFacts> {
    return this.#call('host facts', () => this.#files.facts());
  }

  stat(path: string): Promise<FileFact> {
    return this.#call('host stat', () => this.#files.stat(path));
  }

  async finalPath(path: string): Promise<string | undefined> {
    const file = await this.#call('host open', () => this.#files.open(path)).catch(() => undefined);
    return file?.path;
  }

  async withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    const file = await this.#call('host open', () => this.#files.open(path));
    const read = (offset: number, length: number) =>
      this.#call('host readPiece', () => this.#files.readPiece(file?.path ?? path, offset, length));
    return file && (await use({ ...file, read }));
  }

  readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return this.#call('host read', () => this.#files.read(path, maxBytes));
  }

  copyFile(from: string, to: string): Promise<void> {
    return this.#call('host copy', () => this.#files.copy(from, to));
  }

  deleteFile(path: string): Promise<void> {
    return this.#call('host delete', () => this.#files.delete(path));
  }

  grantVmGroupAccess(path: string, access: VmGroupAccess = 'all'): Promise<void> {
    return this.#call('host grant', () => this.#files.grant(path, access));
  }
}
