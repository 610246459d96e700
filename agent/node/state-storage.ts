// The part of the node's disk for the agent's state: a folder that only the agent writes to, and locks that keep a
// second agent off the node.
import type { FileSystem } from './file-system.ts';

export interface HeldLock {
  release(): void;
}

/**
 * Undefined while another process holds the lock. The system releases it when its holder dies, however that happens.
 */
export type TryLock = () => Promise<HeldLock | undefined>;

export interface StateStorage {
  /** What the folder is read and written with. */
  readonly files: FileSystem;
  /**
   * Creates the folder if there is none. Rejects for a folder of somebody else, because the agent trusts its content.
   */
  openFolder(stateDir: string): Promise<void>;
  /** Why the existing folder would be refused; undefined if it is acceptable or missing. */
  folderProblem(stateDir: string): Promise<string | undefined>;
  /** The holder of all locks is the only agent of the folder and of the node. */
  locks(stateDir: string, warn: (text: string) => void): readonly TryLock[];
}
