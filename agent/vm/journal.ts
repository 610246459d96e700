// The agent's memory on disk: `vms/<uid>/vm.json` for each VM, replaced as a whole (temporary file, flush, rename) and
// guarded by a checksum. What cannot be read is put aside and reported, never guessed at (design §8).
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../../protocol/digest.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import { replaceFile } from '../storage/replace-file.ts';
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
  /** Durable when it resolves. */
  write(record: MachineRecord): Promise<void>;
  /** Removes the VM's folder with everything in it; succeeds when there is none. */
  remove(uid: string): Promise<void>;
}

const journalFile = 'vm.json';
const temporaryFile = `${journalFile}.new`;
const uuid = z.uuid();

/** On Windows a file cannot be deleted while somebody reads it (replace-file.ts): Node's own `rm` tries again for a second. */
const removal = { recursive: true, force: true, maxRetries: 7, retryDelay: fixedTimes.vm.removalRetry } as const;

/** What was asked for last of a VM, and is not done yet. */
interface Pending {
  /** Of the record; absent for a removal. */
  readonly checksum: string | undefined;
  /** Its own work: the next one begins after it. */
  readonly turn: Promise<Outcome>;
  /** Resolves when it is durable, itself or in what overtook it. */
  readonly done: Promise<void>;
}

/** A newer record, or the removal, was asked for before this one was in place: that will do for both. */
type Outcome = 'done' | 'overtaken';

export class FileJournal implements Journal {
  readonly #machines: string;
  /** Writes and removals of one VM happen one after another, in the order in which they were asked for. */
  readonly #pending = new Map<string, Pending>();
  /** VMs whose folder is there. */
  readonly #folders = new Set<string>();
  /** Checksum of what this process has made durable of each VM. */
  readonly #durable = new Map<string, string>();
  /** VMs whose last write was begun and then overtaken; the next one is not, or nothing might ever be written. */
  readonly #gaveWay = new Set<string>();

  /** @param stateDir the agent's state folder; VMs are kept in `vms` below it */
  constructor(stateDir: string) {
    this.#machines = join(stateDir, 'vms');
  }

  async load(): Promise<JournalContents> {
    this.#folders.clear();
    this.#durable.clear();
    await mkdir(this.#machines, { recursive: true, mode: 0o700 });
    const records: MachineRecord[] = [];
    const quarantined: Quarantined[] = [];
    for (const entry of await readdir(this.#machines, { withFileTypes: true })) {
      if (!entry.isDirectory() || !uuid.safeParse(entry.name).success) continue;
      const file = join(this.#machines, entry.name, journalFile);
      try {
        const record = await readRecord(file, entry.name);
        if (record === undefined) await removeUnwritten(join(this.#machines, entry.name));
        else records.push(record);
      } catch (error) {
        await rename(file, `${file}.quarantined`).catch(() => undefined);
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
      await rm(join(this.#machines, uid), removal);
      return 'done';
    });
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
    if (!this.#folders.has(uid)) await mkdir(folder, { recursive: true, mode: 0o700 });
    this.#folders.add(uid);
    const mustEnd = this.#gaveWay.delete(uid);
    const temporary = join(folder, temporaryFile);
    const givesWay = () => !mustEnd && isOvertaken();
    await writeDurably(temporary, JSON.stringify({ version: 1, checksum, record: text }), givesWay);
    if (givesWay()) {
      this.#gaveWay.add(uid);
      return 'overtaken';
    }
    // If it fails, nobody knows which one is there.
    this.#durable.delete(uid);
    await replaceFile(temporary, join(folder, journalFile));
    this.#durable.set(uid, checksum);
    return 'done';
  }
}

type Run = (isOvertaken: () => boolean) => Promise<Outcome>;

async function writeDurably(file: string, text: string, givesWay: () => boolean): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    if (!givesWay()) await handle.writeFile(text);
    if (!givesWay()) await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The records that can be read, without anything being changed: an agent may be at work in the folder. */
export async function peekRecords(stateDir: string): Promise<readonly MachineRecord[]> {
  const folder = join(stateDir, 'vms');
  const names = await readdir(folder).catch(() => []);
  const uids = names.filter((name) => uuid.safeParse(name).success);
  const records = await Promise.all(
    uids.map((uid) => readRecord(join(folder, uid, journalFile), uid).catch(() => undefined)),
  );
  return records.filter((record) => record !== undefined);
}

/** Of a VM whose first write was cut short: nothing was acquired for it. A log without its journal is kept. */
async function removeUnwritten(folder: string): Promise<void> {
  const files = await readdir(folder);
  if (files.every((name) => name === temporaryFile)) await rm(folder, removal);
}

async function readRecord(file: string, uid: string): Promise<MachineRecord | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  const { checksum, record } = envelope.parse(JSON.parse(text));
  if (sha256Hex(record) !== checksum) throw new Error('the checksum does not match: the file is torn or was edited');
  const parsed = machineRecord.parse(JSON.parse(record));
  if (parsed.uid !== uid) throw new Error(`the record is about another VM, ${parsed.uid}`);
  return parsed;
}
