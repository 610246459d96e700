// The Windows node that the agent runs on: its facts and its files, apart from HCS. `agent/windows` provides the real
// one, `simulator/service` one that lives in the simulated node's service process.
import type { HostFacts } from '../../protocol/messages.ts';

export type FileFact =
  | { readonly kind: 'file'; readonly size: number }
  | { readonly kind: 'folder' }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'error'; readonly message: string };

/** A file or folder as the host has opened it: the path is the one that it has, through every link and short name. */
export interface OpenFile {
  readonly kind: 'file' | 'folder';
  /** Without links and 8.3 names, in the letters in which it is stored. */
  readonly path: string;
  readonly size: number;
  /** At most `length` bytes: less only at the end of the file. */
  read(offset: number, length: number): Promise<Buffer>;
}

export type VmGroupAccess = 'read' | 'all';

export interface WindowsHost {
  facts(): Promise<HostFacts>;
  /** Never rejects for what the path is; paths are Windows paths, compared without regard to case. */
  stat(path: string): Promise<FileFact>;
  /** The path that Windows has for the file or folder, through links and short names; undefined when it cannot be found. */
  finalPath(path: string): Promise<string | undefined>;
  /**
   * Hands over what the path leads to while it is open; undefined when there is nothing. Rejects with the cause as Windows
   * words it, and when the path leads to something else by the time that the file is open.
   */
  withFile<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T | undefined>;
  /**
   * The whole content; undefined when there is no such file. Rejects with the cause as Windows words it, and for a file
   * of more than `maxBytes`.
   */
  readFile(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** CopyFileW, overwriting; rejects with the cause as Windows words it. */
  copyFile(from: string, to: string): Promise<void>;
  /** Succeeds when there is nothing to delete. */
  deleteFile(path: string): Promise<void>;
  /** For the group of all VMs, S-1-5-83-0 (hcs-documents §7.4, hcs-runtime G.2); absent means full access. */
  grantVmGroupAccess(path: string, access?: VmGroupAccess): Promise<void>;
}

/** What a file that is too large to be read is refused with. */
export function tooLarge(path: string, size: number, maxBytes: number): string {
  return `${path} has ${size} bytes, more than the ${maxBytes} that are read`;
}
