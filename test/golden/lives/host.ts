// The rest of the host of a life: its files, and a journal in memory. The journal holds back what stands between a VM's
// creation and its start until the caller starts it, since an agent does both at one stroke.

import type { FileFact, OpenFile, WindowsHost } from '../../../agent/node/host.ts';
import type { Journal, JournalContents } from '../../../agent/vm/journal.ts';
import type { MachineRecord } from '../../../agent/vm/record.ts';
import type { HostFacts } from '../../../protocol/messages.ts';
import { SimulatedFiles } from '../simulated-files.ts';
import type { Activity } from './activity.ts';
import type { Life } from './life.ts';

export const osBuild = 20348;
/** Of the process: it decides how many a VM gets by default. */
const visibleProcessors = 2;
const bootFolder = 'C:\\LinuxBootFiles';
/** Of a fixed VHD: its last 512 bytes. */
const footer = { bytes: 512, cookie: 'conectix', typeAt: 60, fixed: 2 } as const;

export class LifeHost implements WindowsHost {
  readonly #sizes: ReadonlyMap<string, { readonly path: string; readonly size: number }>;
  readonly #files: SimulatedFiles;
  readonly #texts: ReadonlyMap<string, string>;

  constructor({ files, texts }: Life) {
    const sizes = { ...files, ...sizesOf(texts) };
    this.#sizes = new Map(Object.entries(sizes).map(([path, size]) => [path.toLowerCase(), { path, size }]));
    this.#files = new SimulatedFiles(sizes);
    this.#texts = new Map(Object.entries(texts).map(([path, text]) => [path.toLowerCase(), text]));
  }

  sizeOf(path: string): number {
    return this.#sizes.get(path.toLowerCase())?.size ?? 0;
  }

  async facts(): Promise<HostFacts> {
    return {
      osBuild,
      architecture: 'amd64',
      logicalProcessors: visibleProcessors,
      memoryInMB: 65_536,
      numaNodes: [{ number: 0, logicalProcessors: visibleProcessors, memoryInMB: 65_536 }],
      isolation: ['SNP'],
      bootFiles: [{ path: bootFolder, files: [] }],
    };
  }

  async stat(path: string): Promise<FileFact> {
    return this.#files.stat(path);
  }

  async finalPath(path: string): Promise<string | undefined> {
    return this.#files.stat(path).kind === 'notFound' ? undefined : path;
  }

  async withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined> {
    const fact = this.#files.stat(path);
    if (fact.kind === 'notFound' || fact.kind === 'error') return undefined;
    const size = fact.kind === 'file' ? fact.size : 0;
    return await use({ kind: fact.kind, path, size, read: async (offset, length) => diskBytes(size, offset, length) });
  }

  async readFile(path: string): Promise<Uint8Array | undefined> {
    const text = this.#texts.get(path.toLowerCase());
    return text === undefined ? undefined : Buffer.from(text);
  }

  async copyFile(from: string, to: string): Promise<void> {
    const cause = this.#files.copy(from, to);
    if (cause !== undefined) throw new Error(cause);
  }

  async deleteFile(path: string): Promise<void> {
    this.#files.remove(path);
  }

  async grantVmGroupAccess(): Promise<void> {}
}

function sizesOf(texts: Readonly<Record<string, string>>): Record<string, number> {
  return Object.fromEntries(Object.entries(texts).map(([path, text]) => [path, Buffer.byteLength(text)]));
}

/** Of a disk without a parent. */
function diskBytes(size: number, offset: number, length: number): Buffer {
  const end = Math.min(size, offset + length);
  const bytes = Buffer.alloc(Math.max(0, end - offset));
  if (size < footer.bytes) return bytes;
  const trailer = Buffer.alloc(footer.bytes);
  trailer.write(footer.cookie, 0);
  trailer.writeUInt32BE(footer.fixed, footer.typeAt);
  const start = size - footer.bytes;
  for (let at = Math.max(offset, start); at < end; at += 1) bytes[at - offset] = trailer[at - start] ?? 0;
  return bytes;
}

export class HeldJournal implements Journal {
  readonly #activity: Activity;
  readonly #started = Promise.withResolvers<void>();
  /** The VM has been created and waits for its start. */
  isHolding = false;

  constructor(activity: Activity) {
    this.#activity = activity;
  }

  start(): void {
    this.isHolding = false;
    this.#started.resolve();
  }

  async load(): Promise<JournalContents> {
    return { records: [], quarantined: [] };
  }

  async write({ stage }: MachineRecord): Promise<void> {
    this.#activity.noted();
    if (stage !== 'starting') return;
    this.isHolding = true;
    await this.#started.promise;
    this.isHolding = false;
  }

  async remove(): Promise<void> {
    this.#activity.noted();
  }
}
