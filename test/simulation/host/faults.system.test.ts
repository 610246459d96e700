// VMs of one agent while everything on their host goes wrong, and afterwards. Whatever happened, all VMs end up as they
// are wanted once nothing goes wrong any more.
import { expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { condition, isReady, isRunning } from '../../support/agent/agent-core.ts';
import { makeAssignment } from '../../support/agent/assignments.ts';
import { defaultHost } from '../../support/agent/simulated-node.ts';
import { type Chance, chanceOf } from '../chance.ts';
import { AgentBed } from './agent-bed.ts';
import type { HostFault, HostFaults } from './faults.ts';

const minute = 60_000;
const seeds = Number(process.env.LCOW_TEST_SEEDS ?? 5);
const firstSeed = Number(process.env.LCOW_TEST_SEED ?? 1);

/** A refused document is left out: the agent believes HCS, and the VM stays stalled. */
const rates: Omit<HostFaults, 'refusedDocument'> = {
  slowCall: 0.02,
  failingCall: 0.02,
  timedOutCall: 0.02,
  deniedCall: 0.01,
  failingAnswer: 0.03,
  hangingCall: 0.02,
  hangingQuery: 0.003,
  slowEnumeration: 0.003,
  lackingCapacity: 0.1,
  lateExitEvent: 0.2,
  lostExitEvent: 0.2,
  slowRunDown: 0.5,
  serviceRestart: 0.05,
  slowFileCall: 0.01,
  failingFileCall: 0.01,
  missingBootFile: 0.1,
  replacedBootFile: 0.05,
  guestCrash: 0.2,
  guestPanic: 0.2,
  guestPowerOff: 0.1,
  hangingBoot: 0.05,
  slowGuest: 0.05,
  refusedConnection: 0.05,
  refusingGuest: 0.05,
  droppedBridge: 0.3,
  floodedLog: 0.2,
  pausedSystem: 0.2,
};

/** A random half of all kinds. */
function someFaults(chance: Chance): Partial<HostFaults> {
  const kinds = Object.keys(rates) as Exclude<HostFault, 'refusedDocument'>[];
  return Object.fromEntries(kinds.filter(() => chance.happens(0.5)).map((kind) => [kind, rates[kind]]));
}

const uids = Array.from({ length: 6 }, (_, index) => `6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d000${index}`);

const diskOf = (uid: string) => ({ name: 'data', path: `C:\\disks\\data-${uid.at(-1)}.vhd`, readOnly: false });
const shareOf = (uid: string) => ({ name: 'work', path: `C:\\shares\\work-${uid.at(-1)}`, readOnly: false });
const filesOf = (uid: string) => [
  [diskOf(uid).path, 3000],
  [`${shareOf(uid).path}\\file`, 1],
];
const description = {
  memoryInMB: 16_384,
  files: { ...defaultHost.files, ...Object.fromEntries(uids.flatMap(filesOf)) },
};

class History {
  readonly bed: AgentBed;
  readonly #chance: Chance;
  /** Apart from the others, so that VMs without shares keep the history of their seed. */
  readonly #sharing: Chance;
  readonly #wanted = new Map<string, Assignment | undefined>();
  #generation = 1;

  constructor(seed: number) {
    this.#chance = chanceOf(seed, 'history');
    this.#sharing = chanceOf(seed, 'shares');
    this.bed = new AgentBed({ seed, description, faults: someFaults(chanceOf(seed, 'kinds of faults')) });
    for (const uid of uids) this.#assign(uid);
    if (this.#chance.happens(0.5))
      this.bed.disk.settings = { faults: { slow: 0.02, failing: 0.02, full: 0.003, divided: 0.1, lossy: true } };
  }

  /** Twenty minutes in which things go wrong. */
  async play(): Promise<void> {
    for (let step = 0; step < 20; step += 1) {
      await this.bed.run(this.#chance.integer(2 * minute));
      this.#disturb();
    }
  }

  async settle(): Promise<void> {
    this.bed.disk.settings = {};
    this.bed.host.calm();
    for (const uid of uids) if (this.#isRemoved(uid)) this.#assign(uid);
    const isSettled = (uid: string) => this.#isAsWanted(uid) || this.#needsRestart(uid);
    await this.bed.until('everything as wanted, or after a restart', () => uids.every(isSettled), 40 * minute);
    for (const uid of uids) if (this.#needsRestart(uid)) this.#restart(uid);
    await this.bed.until('everything as wanted', () => uids.every((uid) => this.#isAsWanted(uid)), 40 * minute);
  }

  #disturb(): void {
    const [uid, chance] = [this.#chance.pick(uids), this.#chance];
    const what = chance.integer(10);
    if (what === 0) this.bed.powerLoss();
    else if (what < 3) this.bed.killAgent();
    else if (what < 5 && this.#wanted.get(uid) !== undefined) this.#release(uid);
    else if (this.#isRemoved(uid) || this.#wanted.get(uid) !== undefined) this.#assign(uid);
  }

  #release(uid: string): void {
    this.#wanted.set(uid, undefined);
    this.bed.release(uid);
  }

  #assign(uid: string): void {
    const chance = this.#chance;
    this.#generation += 1;
    const assignment = makeAssignment({
      uid,
      name: `vm-${uid.at(-1)}`,
      generation: this.#generation,
      runStrategy: chance.pick(['Always', 'Always', 'Halted']),
      updateStrategy: chance.pick(['OnRestart', 'Recreate']),
      ...(chance.happens(0.3) && { restartedAt: `2026-01-01T00:00:${10 + chance.integer(50)}Z` }),
      options: this.#options(uid),
    });
    this.#wanted.set(uid, assignment);
    this.bed.assign(assignment);
  }

  #options(uid: string): RequestedOptions {
    const chance = this.#chance;
    const disks = chance.happens(0.5)
      ? [{ ...diskOf(uid), ...(chance.happens(0.7) && { mountPath: '/mnt/data' }) }]
      : [];
    return {
      TerminateOnAgentExit: chance.happens(0.5),
      ProcessorCount: 1 + chance.integer(2),
      MemorySizeInMB: 512 * (1 + chance.integer(2)),
      Disks: disks,
      ...(this.#sharing.happens(0.4) && { Shares: [{ ...shareOf(uid), ...this.#sharingOptions() }] }),
    };
  }

  #sharingOptions() {
    const chance = this.#sharing;
    return { readOnly: chance.happens(0.3), guestPath: chance.pick(['/mnt/work', '/mnt/work', '/mnt/other']) };
  }

  /** The guest may still be mounting a share, so the agent does nothing at its path before the VM restarts. */
  #needsRestart(uid: string): boolean {
    const observed = this.bed.observed(uid);
    const ready = observed && condition(observed, 'Ready');
    return ready?.reason === 'ShareFailed' && ready.message.includes('may still be mounting an earlier share there');
  }

  #restart(uid: string): void {
    const wanted = this.#wanted.get(uid);
    if (wanted === undefined) return;
    this.#generation += 1;
    const restarted = { ...wanted, generation: this.#generation, restartedAt: '2026-01-02T00:00:00Z' };
    this.#wanted.set(uid, restarted);
    this.bed.assign(restarted);
  }

  #isRemoved(uid: string): boolean {
    return this.#wanted.get(uid) === undefined && this.bed.removed.has(uid);
  }

  #isAsWanted(uid: string): boolean {
    const wanted = this.#wanted.get(uid);
    const isLiving = this.bed.host.living().some(({ id }) => id === systemIdOf(uid));
    if (wanted === undefined) return this.bed.removed.has(uid) && !isLiving;
    const observed = this.bed.observed(uid);
    if (observed === undefined || observed.generation !== wanted.generation) return false;
    if (wanted.runStrategy === 'Halted') return observed.phase === 'Stopped' && isReady(observed) && !isLiving;
    const isApplied =
      observed.optionsDigest === wanted.optionsDigest || condition(observed, 'RestartRequired') !== undefined;
    return isRunning(observed) && isLiving && isApplied && condition(observed, 'Stalled') === undefined;
  }
}

it.each(Array.from({ length: seeds }, (_, index) => firstSeed + index))(
  'all VMs recover from what seed %i does to them',
  async (seed) => {
    const history = new History(seed);
    await history.play();
    await history.settle();
    expect(history.bed.injected.size).toBeGreaterThan(0);
    for (const files of Object.values(history.bed.host.diskFiles())) expect(files).toContain('kept');
  },
);
