// The journal: the file `vms/<uid>/vm.json` for each VM. It is replaced as a whole (temporary file, flush, rename, flush
// of the folder) and has a checksum. A file that cannot be read is put aside and reported; its contents are never guessed
// (design §8).
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../../protocol/digest.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { type FileSystem, undefinedIfMissing } from '../node/file-system.ts';
import { type MachineRecord, machineRecord } from './record.ts';

const envelope = z.object({ version: z.literal(1), checksum: z.string(), record: z.string() });

export interface Quarantined {
  readonly uid: string;
  readonly file: string;
  readonly message: string;
}

export interface JournalContents {
  readonly records: readonly MachineRecord[];
  readonly quarantined: readonly Quarantined[];
}

/** Where the records of this node are kept. */
export interface Journal {
  load(): Promise<JournalContents>;
  /** The record is durable when the promise resolves. */
  write(record: MachineRecord): Promise<void>;
  /** Removes the VM's folder with everything in it, durably. Succeeds when there is none. */
  remove(uid: string): Promise<void>;
}

const journalFile = 'vm.json';
const temporaryFile = `${journalFile}.new`;
const uuid = z.uuid();

/** The latest write or removal of a VM that is not done yet. */
interface Pending {
  /** The checksum of the record; absent for a removal. */
  readonly checksum: string | undefined;
  /** The work of this write or removal. The next one begins after it. */
  readonly turn: Promise<Outcome>;
  /** Resolves when this write is durable, or a later one that overtook it. */
  readonly done: Promise<void>;
}

/**
 * `overtaken`: a newer record, or a removal, was requested before this one was in place, so the newer one is enough.
 */
type Outcome = 'done' | 'overtaken';

export class FileJournal implements Journal {
  readonly #files: FileSystem;
  readonly #machines: string;
  /** Writes and removals of one VM happen one after another, in the order of the requests. */
  readonly #pending = new Map<string, Pending>();
  /** The VMs whose folder exists, durably. */
  readonly #folders = new Set<string>();
  /** For each VM, the checksum of the record that this process has made durable. */
  readonly #durable = new Map<string, string>();
  /**
   * VMs whose last write was overtaken after it had begun. Their next write is not overtaken, so that one gets done.
   */
  readonly #gaveWay = new Set<string>();

  /** @param stateDir the agent's state folder; VMs are kept in `vms` below it */
  constructor(files: FileSystem, stateDir: string) {
    this.#files = files;
    this.#machines = join(stateDir, 'vms');
  }

  async load(): Promise<JournalContents> {
    this.#folders.clear();
    this.#durable.clear();
    await this.#files.mkdir(this.#machines);
    await this.#files.syncFolder(dirname(this.#machines));
    const records: MachineRecord[] = [];
    const quarantined: Quarantined[] = [];
    for (const entry of await this.#files.readdir(this.#machines)) {
      if (!entry.isDirectory() || !uuid.safeParse(entry.name).success) continue;
      const file = join(this.#machines, entry.name, journalFile);
      try {
        const record = await readRecord(this.#files, file, entry.name);
        if (record === undefined) await removeUnwritten(this.#files, join(this.#machines, entry.name));
        else records.push(record);
      } catch (error) {
        await this.#files.rename(file, `${file}.quarantined`).catch(() => undefined);
        quarantined.push({ uid: entry.name, file, message: messageOf(error) });
      }
    }
    return { records, quarantined };
  }

  write(record: MachineRecord): Promise<void> {
    const { uid } = record;
    const text = JSON.stringify(record);
    const checksum = sha256Hex(text);
    const latest = this.#pending.get(uid);
    if (latest !== undefined && latest.checksum === checksum) return latest.done;
    if (latest === undefined && this.#durable.get(uid) === checksum) return Promise.resolve();
    return this.#inTurn(uid, checksum, (isOvertaken) => this.#replace(uid, text, checksum, isOvertaken));
  }

  remove(uid: string): Promise<void> {
    return this.#inTurn(uid, undefined, async () => {
      for (const known of [this.#folders, this.#durable, this.#gaveWay]) known.delete(uid);
      await this.#removeFolder(uid);
      return 'done';
    });
  }

  /** The record goes last: as long as anything is left, the next agent still knows the VM and removes the rest. */
  async #removeFolder(uid: string): Promise<void> {
    const folder = join(this.#machines, uid);
    const entries = (await this.#files.readdir(folder).catch(undefinedIfMissing)) ?? [];
    for (const { name } of entries) if (name !== journalFile) await this.#files.rm(join(folder, name));
    await this.#files.rm(folder);
    await this.#files.syncFolder(this.#machines).catch(undefinedIfMissing);
  }

  #inTurn(uid: string, checksum: string | undefined, run: Run): Promise<void> {
    const before = this.#pending.get(uid)?.turn ?? Promise.resolve();
    const isLatest = () => this.#pending.get(uid) === pending;
    const turn = before.catch(() => undefined).then(() => run(() => !isLatest()));
    const done = turn.then((outcome) => (outcome === 'done' ? undefined : this.#pending.get(uid)?.done));
    const pending: Pending = { checksum, turn, done };
    this.#pending.set(uid, pending);
    const settle = () => {
      if (isLatest()) this.#pending.delete(uid);
    };
    turn.then(settle, settle);
    return done;
  }

  async #replace(uid: string, text: string, checksum: string, isOvertaken: () => boolean): Promise<Outcome> {
    if (isOvertaken()) return 'overtaken';
    const folder = join(this.#machines, uid);
    if (!this.#folders.has(uid)) await this.#files.mkdir(folder);
    const mustEnd = this.#gaveWay.delete(uid);
    const temporary = join(folder, temporaryFile);
    const givesWay = () => !mustEnd && isOvertaken();
    await writeDurably(this.#files, temporary, JSON.stringify({ version: 1, checksum, record: text }), givesWay);
    if (givesWay()) {
      this.#gaveWay.add(uid);
      return 'overtaken';
    }
    // If the write fails, it is not known which version the file has.
    this.#durable.delete(uid);
    await this.#files.rename(temporary, join(folder, journalFile));
    await this.#syncNames(uid, folder);
    this.#durable.set(uid, checksum);
    return 'done';
  }

  async #syncNames(uid: string, folder: string): Promise<void> {
    const unsynced = this.#folders.has(uid) ? [folder] : [folder, this.#machines];
    await Promise.all(unsynced.map((path) => this.#files.syncFolder(path)));
    this.#folders.add(uid);
  }
}

type Run = (isOvertaken: () => boolean) => Promise<Outcome>;

async function writeDurably(files: FileSystem, path: string, text: string, givesWay: () => boolean): Promise<void> {
  const handle = await files.open(path, 'w');
  try {
    if (!givesWay()) await handle.writeFile(text);
    if (!givesWay()) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Reads all readable records and changes nothing, because an agent may be using the folder. */
export async function peekRecords(files: FileSystem, stateDir: string): Promise<readonly MachineRecord[]> {
  const folder = join(stateDir, 'vms');
  const entries = await files.readdir(folder).catch(() => []);
  const uids = entries.map(({ name }) => name).filter((name) => uuid.safeParse(name).success);
  const records = await Promise.all(
    uids.map((uid) => readRecord(files, join(folder, uid, journalFile), uid).catch(() => undefined)),
  );
  return records.filter((record) => record !== undefined);
}

/**
 * Removes the folder of a VM whose first write was interrupted: nothing was acquired for it. Keeps a log. If the disk
 * refuses, the next agent tries again.
 */
async function removeUnwritten(files: FileSystem, folder: string): Promise<void> {
  const entries = await files.readdir(folder);
  if (entries.every(({ name }) => name === temporaryFile)) await files.rm(folder).catch(() => undefined);
}

async function readRecord(files: FileSystem, path: string, uid: string): Promise<MachineRecord | undefined> {
  const text = await files.readFile(path).catch(undefinedIfMissing);
  if (text === undefined) return undefined;
  const { checksum, record } = envelope.parse(JSON.parse(text));
  if (sha256Hex(record) !== checksum) throw new Error('the checksum does not match: the file is torn or was edited');
  const parsed = machineRecord.parse(JSON.parse(record));
  if (parsed.uid !== uid) throw new Error(`the record is about another VM, ${parsed.uid}`);
  return parsed;
}
