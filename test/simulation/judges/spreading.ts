// Where the VMs of a set are placed (docs/sets.md): no domain gets more of them than the constraints of the set allow, and
// a VM that replaces one whose start failed gets another host if one fits. Judged at the write that places a VM, by what
// is stored. What an operator may know otherwise speaks for it.
import { replacedOnAnnotation, setLabel } from '../../../crds/names.ts';
import { controllerOf, type StoredObject } from '../api-server/objects.ts';
import type { Write } from '../api-server/store.ts';
import { domainsOf } from '../system/host-names.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { BrokenInvariant } from './broken-invariant.ts';
import { FreeHosts } from './free-hosts.ts';
import { membersOf, type StrictConstraint, setOf, strictConstraintsOf } from './set-rules.ts';
import { conditionOf } from './stored-condition.ts';

export interface SpreadingOptions {
  readonly system: () => SimulatedSystem;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** For how long an operator may not know what others wrote, or act on what it knew, in milliseconds. */
  readonly lag: number;
}

interface SetVersion {
  readonly strict: readonly StrictConstraint[];
  /** When the next version came. */
  until: number;
}

/** A time in which a VM belongs to a set, with its host. */
interface Stay {
  readonly uid: string;
  readonly set: string;
  /** Its controller and its label say so; otherwise one of them does. */
  readonly isMember: boolean;
  /** Undefined while it has no host. */
  readonly host: string | undefined;
  readonly from: number;
  readonly writer: string;
  until: number;
}

export class Spreading {
  readonly #options: SpreadingOptions;
  readonly #free: FreeHosts;
  /** By uid of the set. */
  readonly #versions = new Map<string, SetVersion[]>();
  #stays: Stay[] = [];

  constructor(options: SpreadingOptions) {
    this.#options = options;
    this.#free = new FreeHosts(options);
  }

  /** At each write to the API server. */
  wrote({ after, before, kind, writer }: Write): void {
    if (kind === 'Node') this.#free.wroteNode(after ?? before);
    if (kind === 'LinuxUtilityVMSet') this.#wroteSet(after, before);
    if (kind !== 'LinuxUtilityVM') return;
    if (before !== undefined && after !== undefined && isPlacement(after, before)) this.#judge(after, before, writer);
    this.#remember(after ?? before, after, writer);
  }

  /** An operator has read a message of the host's agent. */
  read(text: string, host: string): void {
    this.#free.read(text, host);
  }

  #wroteSet(after: StoredObject | undefined, before: StoredObject | undefined): void {
    const now = this.#options.now();
    const { uid = '' } = (after ?? before)?.metadata ?? {};
    const versions = this.#recent(uid);
    const last = versions.at(-1);
    if (last !== undefined) last.until = now;
    const strict = after === undefined ? [] : strictConstraintsOf(after);
    this.#versions.set(uid, [...versions, { strict, until: Number.POSITIVE_INFINITY }]);
  }

  /** What an operator may know the set to be. */
  #recent(uid: string): readonly SetVersion[] {
    const since = this.#options.now() - this.#options.lag;
    return (this.#versions.get(uid) ?? []).filter(({ until }) => until > since);
  }

  #judge(after: StoredObject, before: StoredObject, writer: string): void {
    const set = setOf(after);
    const host = hostOf(after);
    if (set === undefined || host === undefined || this.#options.system().api.isServingLate) return;
    const versions = this.#recent(set.uid);
    const { name, uid } = after.metadata;
    const others = this.#stays.filter((stay) => stay.uid !== uid && stay.set === set.name);
    const isCrowded = (constraint: StrictConstraint) => this.#isCrowded(constraint, host, others, writer);
    if (versions.length > 0 && versions.every(({ strict }) => strict.some(isCrowded))) {
      const message = `${writer} places ${name} on ${host}, and others of ${set.name} are there`;
      throw new BrokenInvariant('a set is spread as it asks', message);
    }
    if (versions.some(({ strict }) => strict.length > 0)) return;
    const free = this.#isReplacedOn(after, before, host) ? this.#free.beside(host) : undefined;
    if (free === undefined) return;
    const message = `${writer} places ${name} on ${host}, where its predecessor did not start, and ${free} is free`;
    throw new BrokenInvariant('a VM that is replaced gets another host', message);
  }

  /** Certainly: others may be about to be placed, and domains may not be known yet. */
  #isCrowded(
    { maxSkew, topologyKey }: StrictConstraint,
    host: string,
    others: readonly Stay[],
    writer: string,
  ): boolean {
    const since = this.#options.now() - this.#options.lag;
    const isIn = (domain: string | undefined) => (stay: Stay) =>
      stay.host !== undefined && domainsOf(stay.host)[topologyKey] === domain;
    const certain = others.filter(
      ({ from, host: of, isMember, until, writer: by }) =>
        isMember && of !== undefined && until === Number.POSITIVE_INFINITY && (by === writer || from <= since),
    );
    const recent = others.filter(({ until }) => until > since);
    const unplaced = new Set(recent.filter((stay) => stay.host === undefined).map(({ uid }) => uid)).size;
    const known = this.#free.known();
    const domains = new Set(known.flatMap((name) => domainsOf(name)[topologyKey] ?? []));
    const fewest = Math.min(...[...domains].map((domain) => recent.filter(isIn(domain)).length));
    const there = certain.filter(isIn(domainsOf(host)[topologyKey])).filter((stay) => known.includes(stay.host ?? ''));
    return there.length >= fewest + unplaced + maxSkew;
  }

  /** A later placement may avoid hosts that the VM was on before. */
  #isReplacedOn(after: StoredObject, before: StoredObject, host: string): boolean {
    const isFirst = membersOf(before['status'])['lastNodeName'] === undefined;
    return isFirst && after.metadata.annotations?.[replacedOnAnnotation] === host;
  }

  #remember(object: StoredObject | undefined, after: StoredObject | undefined, writer: string): void {
    const now = this.#options.now();
    const uid = object?.metadata.uid ?? '';
    const next = after === undefined ? [] : staysOf(after).map((stay) => ({ ...stay, uid, from: now, writer }));
    const open = this.#stays.filter((stay) => stay.uid === uid && stay.until === Number.POSITIVE_INFINITY);
    const isSame = (one: Omit<Stay, 'until'>, other: Omit<Stay, 'until'>) =>
      one.set === other.set && one.isMember === other.isMember && one.host === other.host;
    for (const stay of open) if (!next.some((each) => isSame(each, stay))) stay.until = now;
    const begun = next.filter((each) => !open.some((stay) => isSame(stay, each)));
    const since = now - this.#options.lag;
    this.#stays = this.#stays.filter(({ until }) => until > since);
    this.#stays.push(...begun.map((stay) => ({ ...stay, until: Number.POSITIVE_INFINITY })));
  }
}

/** The VM is placed, and not taken back by the host that has it. */
function isPlacement(after: StoredObject, before: StoredObject): boolean {
  const message = String(conditionOf(after, 'Scheduled')?.['message']);
  return hostOf(before) === undefined && hostOf(after) !== undefined && message.startsWith('placed on ');
}

function hostOf({ status }: StoredObject): string | undefined {
  const { nodeName } = membersOf(status);
  return typeof nodeName === 'string' ? nodeName : undefined;
}

/** One for each set that the VM belongs to, or claims to belong to. */
function staysOf(object: StoredObject): readonly Pick<Stay, 'set' | 'isMember' | 'host'>[] {
  const controller = controllerOf(object);
  const label = object.metadata.labels?.[setLabel];
  const names = new Set([controller?.kind === 'LinuxUtilityVMSet' ? controller.name : undefined, label]);
  const isMember = names.size === 1;
  return [...names].flatMap((set) => (set === undefined ? [] : [{ set, isMember, host: hostOf(object) }]));
}
