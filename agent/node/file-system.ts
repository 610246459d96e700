// The part of the node's file system that the agent keeps its state with: the journal, logs and documents of its VMs.
// Calls reject with errors that have Node's codes (`ENOENT`, `ENOSPC`). Files and folders belong to the agent alone.

export interface FolderEntry {
  readonly name: string;
  isDirectory(): boolean;
}

/** The part of Node's handles that the agent uses. A handle stays usable when its file is renamed or removed. */
export interface FileHandle {
  /** Reads at most `length` bytes into `buffer`, fewer at the end of the file. */
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number; readonly buffer: Buffer }>;
  /** Writes where the last write ended. */
  writeFile(text: string): Promise<void>;
  /** Resolves when the content survives a power failure. The name of the file needs `syncFolder`. */
  sync(): Promise<void>;
  stat(): Promise<{ readonly size: number }>;
  close(): Promise<void>;
}

export interface FileSystem {
  /** Creates missing folders on the way, too. Succeeds when the folder exists. */
  mkdir(path: string): Promise<void>;
  readdir(path: string): Promise<readonly FolderEntry[]>;
  /** `w` creates the file or empties it. */
  open(path: string, flags: 'r' | 'w'): Promise<FileHandle>;
  readFile(path: string): Promise<string>;
  /** Creates the file if there is none. */
  appendFile(path: string, content: string | Uint8Array): Promise<void>;
  /** Replaces an existing file. A process that dies meanwhile leaves either file whole. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a folder with everything in it. Succeeds when there is none. */
  rm(path: string): Promise<void>;
  /** Resolves when what was created, renamed and removed in the folder stays so after a power failure. */
  syncFolder(path: string): Promise<void>;
}

/** For `catch`, where a missing file or folder is no failure. */
export function undefinedIfMissing(error: unknown): undefined {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}
