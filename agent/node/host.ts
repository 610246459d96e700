// The Windows node that the agent runs on: its facts and its files, without HCS. `agent/windows` implements the real
// node; `simulator/service` implements a simulated one in its own process.
import type { HostFacts } from '../../protocol/messages.ts';

export type FileFact =
  | { readonly kind: 'file'; readonly size: number }
  | { readonly kind: 'folder' }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'error'; readonly message: string };

/** A file or folder that the host has opened, with its final path. */
export interface OpenFile {
  readonly kind: 'file' | 'folder';
  /** The path without links and 8.3 names, in the stored letter case. */
  readonly path: string;
  readonly size: number;
  /** Reads at most `length` bytes, fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>;
}

export type VmGroupAccess = 'read' | 'all';

export interface WindowsHost {
  facts(): Promise<HostFacts>;
  /** Never rejects because of the path. Paths are Windows paths, compared case-insensitively. */
  stat(path: string): Promise<FileFact>;
  /** The final path of the file or folder, with links and short names resolved; undefined when it cannot be found. */
  finalPath(path: string): Promise<string | undefined>;
  /**
   * Passes the file at the path to `use` while it is open; undefined when there is none. Rejects with the system's
   * message, and when the path leads to another file by the time it is open.
   */
  withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined>;
  /**
   * The whole content; undefined when there is no such file. Rejects with the system's message, and for a file of more
   * than `maxBytes`.
   */
  readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** CopyFileW, overwriting. Rejects with the system's message. */
  copyFile(from: string, to: string): Promise<void>;
  /** Also succeeds when there is nothing to delete. */
  deleteFile(path: string): Promise<void>;
  /** Gives the group of all VMs, S-1-5-83-0, access (hcs-documents §7.4, hcs-runtime G.2); absent means full access. */
  grantVmGroupAccess(path: string, access?: VmGroupAccess): Promise<void>;
}

/** The message for a file that is too large to be read. */
export function tooLarge(path: string, size: number, maxBytes: number): string {
  return `${path} has ${size} bytes, more than the ${maxBytes} that are read`;
}
