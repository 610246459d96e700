// What goes wrong on a simulated host at some time, without a call: guests that end, connections that break, a service
// that restarts, boot files that are missing.
import { win32 } from 'node:path';
import type { Clock } from '../../../runtime/clock.ts';
import type { FileTable } from '../../../simulator/service/file-table.ts';
import type { SimulatedNode } from '../../../simulator/service/node.ts';
import type { SimulatedSystem } from '../../../simulator/service/system.ts';
import type { FileEntry } from '../../../simulator/wire/file-entry.ts';
import type { Chance } from '../chance.ts';
import type { FaultDraws, HostFault } from './faults.ts';

const second = 1000;
const minute = 60 * second;
/** How long after its start something happens to a guest. */
const guestSpan = 10 * minute;

export interface ScheduledFaultsOptions {
  readonly clock: Clock;
  readonly draws: FaultDraws;
  readonly node: SimulatedNode;
  readonly bootFiles: { readonly folder: string; readonly table: () => FileTable };
  readonly restartService: () => void;
}

type Strike = (system: SimulatedSystem, chance: Chance, clock: Clock) => void;

/** What happens once to a guest, at some time after its start. */
const guestFaults: readonly (readonly [HostFault, Strike])[] = [
  ['guestCrash', (system) => system.guest?.end('crash')],
  ['guestPanic', (system) => system.guest?.end('panic')],
  ['guestPowerOff', (system) => system.guest?.end('powerOff')],
  ['droppedBridge', (system) => system.guest?.dropBridge()],
  ['floodedLog', (system, chance) => floodLog(system, chance.integer(2000))],
  ['pausedSystem', pauseForAWhile],
];

export class ScheduledFaults {
  readonly #options: ScheduledFaultsOptions;
  readonly #missing = new Map<string, FileEntry>();

  constructor(options: ScheduledFaultsOptions) {
    this.#options = options;
    this.#nextMinute();
  }

  /** A system is being started. */
  started(id: string): void {
    const { clock, draws, node } = this.#options;
    for (const [fault, strike] of guestFaults) {
      if (!draws.isPlanned(fault)) continue;
      const chance = draws.chance(fault);
      clock.after(chance.integer(guestSpan), () => {
        const system = node.find(id);
        if (!draws.isEnabled(fault) || system?.state !== 'Running') return;
        draws.inject(fault);
        strike(system, chance, clock);
      });
    }
  }

  /** Puts back the files that are missing. */
  restore(): void {
    for (const path of [...this.#missing.keys()]) this.#putBack(path);
  }

  #nextMinute(): void {
    const { clock, draws, restartService } = this.#options;
    clock.after(minute, () => {
      if (draws.happens('serviceRestart')) restartService();
      if (draws.happens('missingBootFile')) this.#takeAway(draws.chance('missingBootFile'));
      if (draws.happens('replacedBootFile')) this.#replace(draws.chance('replacedBootFile'));
      this.#nextMinute();
    });
  }

  #takeAway(chance: Chance): void {
    const { bootFiles, clock } = this.#options;
    const entry = this.#pickBootFile(chance);
    if (entry === undefined) return;
    this.#missing.set(entry.path, entry);
    bootFiles.table().delete(entry.path);
    clock.after(chance.integer(5 * minute), () => this.#putBack(entry.path));
  }

  #putBack(path: string): void {
    const entry = this.#missing.get(path);
    if (entry !== undefined) this.#options.bootFiles.table().put(entry);
    this.#missing.delete(path);
  }

  #replace(chance: Chance): void {
    const entry = this.#pickBootFile(chance);
    if (entry === undefined) return;
    this.#options.bootFiles.table().put({ path: entry.path, isGranted: false, size: 1 + chance.integer(100_000) });
  }

  #pickBootFile(chance: Chance): FileEntry | undefined {
    const { folder, table } = this.#options.bootFiles;
    const names = table().list(folder);
    if (names.length === 0) return undefined;
    const path = win32.join(folder, chance.pick(names));
    return table()
      .entries()
      .find((entry) => entry.path === path);
  }
}

/** The guest writes as much as its host reads. */
export function floodLog(system: SimulatedSystem, lines: number): void {
  // Rejects never: what the guest cannot send is gone with it.
  void system.guest?.writeLog(`{"level":"info","msg":"${'flood '.repeat(20)}"}\n`, lines);
}

function pauseForAWhile(system: SimulatedSystem, chance: Chance, clock: Clock): void {
  system.pause(chance.pick(['stay', 'end']));
  clock.after(chance.integer(2 * minute), () => {
    if (system.state === 'Paused') system.resume();
  });
}
