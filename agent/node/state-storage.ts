// The disk of the node, as far as the agent's own state is concerned: a folder that nobody else writes to, and locks that
// keep a second agent off the node.

export interface HeldLock {
  release(): void;
}

/** Undefined while another process has it. The system takes it back when its holder dies, however it dies. */
export type TryLock = () => Promise<HeldLock | undefined>;

export interface StateStorage {
  /** Makes the folder if there is none. Rejects for somebody else's folder, since what lies in it is believed. */
  openFolder(stateDir: string): Promise<void>;
  /** Why the folder that is there would be refused; undefined also when there is none. */
  folderProblem(stateDir: string): Promise<string | undefined>;
  /** Whoever holds all of them is the only agent of the folder and of the node. */
  locks(stateDir: string, warn: (text: string) => void): readonly TryLock[];
}
