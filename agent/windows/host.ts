// The Windows node that the agent runs on: its facts and its files.
import { open, realpath, stat, unlink } from 'node:fs/promises';
import type { HostFacts } from '../../protocol/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { type FileFact, type OpenFile, tooLarge, type WindowsHost } from '../node/host.ts';
import { FileCopier } from './copy-file.ts';
import { type HostFactSources, hostFacts } from './host-facts.ts';
import { isNotFound, withLocalFile } from './open-file.ts';
import { type WindowsLibraries, windowsLibraries } from './system-library.ts';
import { SystemMessages } from './system-message.ts';
import { accessMasks, VmGroupAccess } from './vm-group-access.ts';

export class LocalWindowsHost implements WindowsHost {
  readonly #sources: HostFactSources;
  readonly #copier: FileCopier;
  readonly #access: VmGroupAccess;

  constructor(sources: HostFactSources, libraries: WindowsLibraries = windowsLibraries()) {
    const messages = new SystemMessages(libraries.kernel32);
    this.#sources = sources;
    this.#copier = new FileCopier(libraries.kernel32, messages);
    this.#access = new VmGroupAccess(libraries, messages);
  }

  facts(): Promise<HostFacts> {
    return hostFacts(this.#sources);
  }

  async stat(path: string): Promise<FileFact> {
    try {
      const found = await stat(path);
      return found.isDirectory() ? { kind: 'folder' } : { kind: 'file', size: found.size };
    } catch (error) {
      if (isNotFound(error)) return { kind: 'notFound' };
      return { kind: 'error', message: messageOf(error) };
    }
  }

  withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    return withLocalFile(path, use);
  }

  /** Node requests no access to the file, so this also works for a file that a VM has open exclusively. */
  finalPath(path: string): Promise<string | undefined> {
    return realpath(path).catch(() => undefined);
  }

  /** Takes the size from the open handle, so that the file that is checked is the file that is read. */
  async readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    try {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      if (size > maxBytes) throw new Error(tooLarge(path, size, maxBytes));
      return await file.readFile();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  copyFile(from: string, to: string): Promise<void> {
    return this.#copier.copy(from, to);
  }

  async deleteFile(path: string): Promise<void> {
    try {
      await unlink(path);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  grantVmGroupAccess(path: string, access: keyof typeof accessMasks = 'all'): Promise<void> {
    return this.#access.grant(path, accessMasks[access]);
  }
}
