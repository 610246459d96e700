// The journal on a failing disk, with a process or host that dies at each call. The next agent reads the last durable
// record or a newer one, and never a torn one.
import { dirname } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileSystem } from '../../../agent/node/file-system.ts';
import { FileJournal, type Journal } from '../../../agent/vm/journal.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { type Chance, chanceOf } from '../chance.ts';
import { type DiskBed, diskBed } from './bed.ts';
import type { DiskFaults } from './faults.ts';

const stateDir = '/state';
const machines = `${stateDir}/vms`;
const bootID = '11111111-2222-4333-8444-555555555555';
const uids = ['a', 'b'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);

/** The requests for one VM: numbers of restarts, or undefined for its removal. The first entry is the initial state. */
class Requests {
  readonly #versions: (number | undefined)[] = [undefined];
  #durable = 0;

  get next(): number {
    return this.#versions.length;
  }

  async make(version: number | undefined, request: () => Promise<void>): Promise<void> {
    const index = this.#versions.push(version) - 1;
    await request();
    this.#durable = Math.max(this.#durable, index);
  }

  /** The versions that the next agent can find now. */
  get acceptable(): readonly (number | undefined)[] {
    return this.#versions.slice(this.#durable);
  }

  /** The next life starts with this version. */
  found(version: number | undefined): void {
    this.#versions.push(version);
    this.#durable = this.#versions.length - 1;
  }
}

class Machines {
  readonly #bed: DiskBed;
  readonly #requests = new Map(uids.map((uid) => [uid, new Requests()]));

  constructor(bed: DiskBed) {
    this.#bed = bed;
  }

  /** Writes and removes records at random, sometimes before earlier calls have returned. */
  async play({ files, journal }: Agent, chance: Chance): Promise<void> {
    const pending: Promise<void>[] = [];
    for (let step = 0; step < 8; step += 1) {
      const uid = chance.pick(uids);
      const requests = this.#of(uid);
      const isRemoval = chance.happens(0.2);
      const restarts = requests.next;
      if (isRemoval && chance.happens(0.5)) {
        await Promise.all(pending);
        await this.#addFiles(files, uid);
      }
      const made = isRemoval
        ? requests.make(undefined, () => journal.remove(uid))
        : requests.make(restarts, () => journal.write({ ...newRecord(uid, bootID), restarts }));
      pending.push(made.catch(() => undefined));
      if (chance.happens(0.6)) await pending.at(-1);
    }
    await Promise.all(pending);
  }

  /** Adds the other files that a VM's folder has. */
  async #addFiles(files: FileSystem, uid: string): Promise<void> {
    const folder = `${machines}/${uid}`;
    if (this.#bed.disk.read(`${folder}/vm.json`) === undefined) return;
    for (const name of ['guest.log', 'z.vhd']) await files.appendFile(`${folder}/${name}`, '.').catch(() => {});
  }

  /** Reads everything as the next agent does. */
  async judge({ journal }: Agent, circumstances: string): Promise<void> {
    const { quarantined, records } = await journal.load();
    expect(quarantined, circumstances).toEqual([]);
    const folders = this.#bed.disk.paths().filter((path) => dirname(path) === machines);
    expect(folders, circumstances).toEqual(records.map(({ uid }) => `${machines}/${uid}`).sort());
    for (const uid of uids) {
      const found = records.find((record) => record.uid === uid)?.restarts;
      expect(this.#of(uid).acceptable, `${circumstances}: ${uid}`).toContain(found);
      this.#of(uid).found(found);
    }
  }

  #of(uid: string): Requests {
    const requests = this.#requests.get(uid);
    if (requests === undefined) throw new Error(`${uid} is no VM of this test`);
    return requests;
  }
}

interface Agent {
  readonly files: FileSystem;
  readonly journal: Journal;
}

const agentOn = (files: FileSystem): Agent => ({ files, journal: new FileJournal(files, stateDir) });

type Death = 'process' | 'host';

/**
 * Plays until the given call, dies, and lets the next agent read and continue. Returns the number of events of the
 * first life.
 */
async function live(seed: number, faults: DiskFaults, death: Death, lastEvent: number): Promise<number> {
  const bed = diskBed(seed);
  const vms = new Machines(bed);
  const chance = chanceOf(seed, 'requests');
  const circumstances = `seed ${seed}, death of the ${death} after event ${lastEvent}`;
  bed.disk.putFolder(stateDir);
  bed.disk.settings = { faults };
  const begun = bed.world.events;
  await die(bed, death, begun + lastEvent, async (agent) => {
    await agent.journal.load();
    await vms.play(agent, chance);
  });
  const lived = bed.world.events - begun;
  bed.disk.settings = { faults: { ...faults, failing: 0, full: 0 } };
  await bed.use(async (files) => {
    const agent = agentOn(files);
    await vms.judge(agent, circumstances);
    await vms.play(agent, chance);
  });
  if (death === 'host') bed.disk.crashOfHost();
  await bed.use((files) => vms.judge(agentOn(files), `${circumstances}, then another life`));
  return lived;
}

async function die(bed: DiskBed, death: Death, event: number, body: (agent: Agent) => Promise<void>) {
  const process = bed.start();
  const agent = agentOn(bed.disk.fileSystemFor(process));
  await bed.run(
    () => body(agent).catch(() => undefined),
    () => bed.world.events >= event,
  );
  process.die();
  if (death === 'host') bed.disk.crashOfHost();
}

const deaths: readonly Death[] = ['process', 'host'];
const healthy: DiskFaults = { lossy: true, divided: 0.5 };
const failing: DiskFaults = { ...healthy, failing: 0.05, full: 0.02, slow: 0.05 };

describe.each(deaths)('the journal after the death of the %s', (death) => {
  it('has the durable version or a newer one, whichever call was the last', async () => {
    const events = await live(1, healthy, death, Number.POSITIVE_INFINITY);
    expect(events).toBeGreaterThan(50);
    for (let last = 1; last < events; last += 1) await live(1, healthy, death, last);
  });

  it('has it on a disk that fails and is full for a while, too', async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      await live(seed, failing, death, 1 + chanceOf(seed, 'death').integer(250));
    }
  });
});
