// The budget of a set holds at every instant (docs/sets.md): the operator takes no VM away while as many are unavailable as
// the set allows, and changes none that type, partition or pause keep as they are. Judged by what is stored alone. What
// somebody else did counts only after a while, because an operator learns of it late.
import { revisionLabel } from '../../../crds/names.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { isEvicting, isPresent, readySince, restartOf } from './presence.ts';
import { isLabelled, membersOf, numberOf, rulesOf, type SetRules, setOf } from './set-rules.ts';

export interface BudgetsOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** For how long an operator may not know what others wrote, in milliseconds. */
  readonly lag: number;
  /** How long a write can be on its way, in milliseconds: what befalls a VM meanwhile could not be known. */
  readonly transit: number;
  /** The write was sent long ago, perhaps by an operator that does not lead any more. */
  readonly isLate: () => boolean;
}

interface Version {
  readonly rules: SetRules;
  /** When the next version came. */
  until: number;
}

interface Known {
  /** Undefined once it is gone. */
  readonly object: StoredObject | undefined;
  /** From when on every operator has to know that it is not present; undefined while it is. */
  readonly awayFrom: number | undefined;
}

type Disruption = 'restarts' | 'switches' | 'deletes' | 'lets a drain take';

/** A plan is carried out later than it was made. */
const slack = 10_000;

export class Budgets {
  readonly #options: BudgetsOptions;
  /** By uid of the set. */
  readonly #versions = new Map<string, Version[]>();
  /** By uid of the set, and name of the VM. */
  readonly #known = new Map<string, Map<string, Known>>();

  constructor(options: BudgetsOptions) {
    this.#options = options;
  }

  /** At each write to the API server. */
  wrote(write: Write): void {
    const { after, before, kind } = write;
    if (kind === 'LinuxUtilityVMSet' && after !== undefined) this.#wroteSet(after);
    if (kind !== 'LinuxUtilityVM') return;
    const byOperator = write.writer.startsWith('operator-') && !this.#options.isLate();
    if (before !== undefined && byOperator) this.#judge(write.writer, before, after);
    const isMeant =
      byOperator && (before === undefined || after === undefined || disruptionBy(before, after) !== undefined);
    const { lag, transit } = this.#options;
    this.#remember(before, after, this.#options.now() + (isMeant ? 0 : byOperator ? transit : lag));
  }

  #wroteSet(set: StoredObject): void {
    const now = this.#options.now();
    const versions = this.#recent(set.metadata.uid);
    const last = versions.at(-1);
    if (last !== undefined) last.until = now;
    this.#versions.set(set.metadata.uid, [...versions, { rules: rulesOf(set), until: Number.POSITIVE_INFINITY }]);
  }

  /** What an operator may know the set to be. */
  #recent(uid: string): readonly Version[] {
    const since = this.#options.now() - this.#options.lag;
    return (this.#versions.get(uid) ?? []).filter(({ until }) => until > since);
  }

  #judge(writer: string, before: StoredObject, after: StoredObject | undefined): void {
    const set = setOf(before);
    if (set === undefined) return;
    const { name } = before.metadata;
    const versions = this.#recent(set.uid).map(({ rules }) => rules);
    // Nobody asks the set about a VM that it does not want.
    if (versions.length === 0 || versions.some(({ wanted }) => !wanted.includes(name))) return;
    const disruption = disruptionBy(before, after);
    if (disruption === 'deletes' && versions.some((rules) => isReplaceable(before, rules))) return;
    const isUpdate = disruption === undefined ? isRelabelled(before, after) : disruption !== 'lets a drain take';
    if (isUpdate && versions.every(({ allowed }) => !allowed.has(name))) {
      const message = `${writer} changes ${name}, and the set ${set.name} keeps it as it is`;
      throw new BrokenInvariant('a set changes what type, partition and pause allow', message);
    }
    if (disruption === undefined || !versions.every((rules) => this.#isReady(before, rules))) return;
    const spent = versions.map((rules) => ({ away: this.#awayBeside(name, set.uid, rules), budget: rules.budget }));
    if (spent.some(({ away, budget }) => away.length < budget)) return;
    const message = `${writer} ${disruption} ${name}, and ${spent[0]?.away.join(', ')} are away of ${spent[0]?.budget}`;
    throw new BrokenInvariant('the budget of a set holds at every instant', message);
  }

  /** Certainly available. */
  #isReady(object: StoredObject, { minReadyMilliseconds: wait, name }: SetRules): boolean {
    if (!isPresent(object) || !isLabelled(object, name)) return false;
    return wait === 0 || readySince(object).latest + wait + slack <= this.#options.now();
  }

  /** Names of other VMs that are certainly not available. */
  #awayBeside(name: string, uid: string, { minReadyMilliseconds, wanted }: SetRules): readonly string[] {
    const { transit } = this.#options;
    const now = this.#options.now();
    return wanted.filter((other) => {
      if (other === name) return false;
      const { awayFrom, object } = this.#known.get(uid)?.get(other) ?? {};
      if (object === undefined || awayFrom !== undefined) return (awayFrom ?? 0) <= now;
      const { earliest } = readySince(object);
      return earliest + transit <= now && now < earliest + minReadyMilliseconds;
    });
  }

  /** `from`: when every operator has to know of the write. */
  #remember(before: StoredObject | undefined, after: StoredObject | undefined, from: number): void {
    const [was, is] = [before, after].map((object) => (object === undefined ? undefined : setOf(object)));
    const { name = '' } = (after ?? before)?.metadata ?? {};
    if (was !== undefined && was.uid !== is?.uid) this.#set(was.uid, name, undefined, from);
    if (is !== undefined && after !== undefined) this.#set(is.uid, name, after, from);
  }

  #set(uid: string, name: string, object: StoredObject | undefined, from: number): void {
    const known = this.#known.get(uid) ?? new Map<string, Known>();
    this.#known.set(uid, known);
    const set = object === undefined ? undefined : setOf(object);
    const isAway = object === undefined || !isPresent(object) || !isLabelled(object, set?.name ?? '');
    const awayFrom = isAway ? Math.min(known.get(name)?.awayFrom ?? from, from) : undefined;
    known.set(name, { object, awayFrom });
  }
}

function disruptionBy(before: StoredObject, after: StoredObject | undefined): Disruption | undefined {
  if (after === undefined || after.metadata.deletionTimestamp !== undefined) {
    return before.metadata.deletionTimestamp === undefined ? 'deletes' : undefined;
  }
  if (isEvicting(after) && !isEvicting(before)) return 'lets a drain take';
  if (restartOf(after) !== restartOf(before)) return 'restarts';
  return runStrategyOf(after) === runStrategyOf(before) ? undefined : 'switches';
}

function runStrategyOf({ spec }: StoredObject): unknown {
  return membersOf(spec)['runStrategy'];
}

/** Whatever type, partition and pause say: its start failed often, and it has written nothing. */
function isReplaceable(object: StoredObject, { startFailures }: SetRules): boolean {
  const { count } = membersOf(membersOf(object['status'])['startFailure']);
  const { disks } = membersOf(membersOf(object['spec'])['storage']);
  const mayHaveWritten = Array.isArray(disks) && disks.some((disk) => membersOf(disk)['readOnly'] !== true);
  return !mayHaveWritten && numberOf(count) >= startFailures && !isPresent(object);
}

function isRelabelled(before: StoredObject, after: StoredObject | undefined): boolean {
  const [was, is] = [before, after].map((object) => object?.metadata.labels?.[revisionLabel]);
  return is !== undefined && is !== was;
}
