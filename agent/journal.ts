// The agent's memory on disk: `vms/<uid>/vm.json` for each VM, replaced as a whole (temporary file, flush, rename) and
// guarded by a checksum. What cannot be read is put aside and reported, never guessed at (design §8).
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sha256Hex } from '../protocol/digest.ts';
import { messageOf } from './failure.ts';
import { type MachineRecord, machineRecord } from './machine-record.ts';
import { replaceFile } from './replace-file.ts';

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
const uuid = z.uuid();

/** On Windows a file cannot be deleted while somebody reads it (replace-file.ts): Node's own `rm` tries again for a second. */
const removal = { recursive: true, force: true, maxRetries: 7, retryDelay: 35 } as const;

export class FileJournal implements Journal {
  readonly #machines: string;
  /** The latest write or removal of each VM: they happen one after another, in the order in which they were asked for. */
  readonly #pending = new Map<string, Promise<void>>();
  /** Checksum of what this process has made durable of each VM, in a folder that is therefore there. */
  readonly #durable = new Map<string, string>();

  /** @param stateDir the agent's state folder; VMs are kept in `vms` below it */
  constructor(stateDir: string) {
    this.#machines = join(stateDir, 'vms');
  }

  async load(): Promise<JournalContents> {
    this.#durable.clear();
    await mkdir(this.#machines, { recursive: true, mode: 0o700 });
    const records: MachineRecord[] = [];
    const quarantined: Quarantined[] = [];
    for (const entry of await readdir(this.#machines, { withFileTypes: true })) {
      if (!entry.isDirectory() || !uuid.safeParse(entry.name).success) continue;
      const file = join(this.#machines, entry.name, journalFile);
      try {
        const record = await readRecord(file, entry.name);
        if (record !== undefined) records.push(record);
      } catch (error) {
        await rename(file, `${file}.quarantined`).catch(() => undefined);
        quarantined.push({ uid: entry.name, file, message: messageOf(error) });
      }
    }
    return { records, quarantined };
  }

  write(record: MachineRecord): Promise<void> {
    return this.#inTurn(record.uid, () => this.#replace(record));
  }

  remove(uid: string): Promise<void> {
    return this.#inTurn(uid, () => {
      this.#durable.delete(uid);
      return rm(join(this.#machines, uid), removal);
    });
  }

  #inTurn(uid: string, run: () => Promise<void>): Promise<void> {
    const turn = (this.#pending.get(uid) ?? Promise.resolve()).catch(() => undefined).then(run);
    this.#pending.set(uid, turn);
    const settle = () => {
      if (this.#pending.get(uid) === turn) this.#pending.delete(uid);
    };
    turn.then(settle, settle);
    return turn;
  }

  async #replace(record: MachineRecord): Promise<void> {
    const text = JSON.stringify(record);
    const checksum = sha256Hex(text);
    const durable = this.#durable.get(record.uid);
    if (durable === checksum) return;
    const folder = join(this.#machines, record.uid);
    if (durable === undefined) await mkdir(folder, { recursive: true, mode: 0o700 });
    // If it fails halfway, nobody knows what is there.
    this.#durable.delete(record.uid);
    await replaceDurably(folder, JSON.stringify({ version: 1, checksum, record: text }));
    this.#durable.set(record.uid, checksum);
  }
}

async function replaceDurably(folder: string, text: string): Promise<void> {
  const temporary = join(folder, `${journalFile}.new`);
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await replaceFile(temporary, join(folder, journalFile));
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
