// What is stored, and the rules by which an API server changes it. Refusals are thrown.
import { sameJson } from '../../../runtime/same-json.ts';
import { AppliedManifests } from './applied.ts';
import { type Change, Collection } from './collection.ts';
import { type KindName, type ServedKind, servedKinds } from './kinds.ts';
import {
  keyOf,
  merged,
  parseSent,
  type SentObject,
  type StoredMetadata,
  type StoredObject,
  Version,
} from './objects.ts';
import { Refusal } from './refusal.ts';

export interface Write {
  /** Name of the process, `user`, or a controller of the cluster. */
  readonly writer: string;
  readonly kind: KindName;
  /** Undefined when the object is created. */
  readonly before: StoredObject | undefined;
  /** Undefined when the object is removed. */
  readonly after: StoredObject | undefined;
}

export interface StoreOptions {
  /** Milliseconds since the beginning of the run. */
  readonly elapsed: () => number;
  /** Milliseconds since the epoch, as the server's clock shows them. */
  readonly now: () => number;
  readonly uid: () => string;
  readonly onWrite: (write: Write) => void;
}

export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** Everything that etcd had stored. */
export interface Backup {
  readonly revision: number;
  readonly objects: ReadonlyMap<KindName, ReadonlyMap<string, Version>>;
}

/** How a request changes an object: the whole object that it sends, or a merge patch. */
export type Alteration = { readonly replacement: SentObject } | { readonly patch: unknown };

const firstRevision = 1_000;

export class Store {
  readonly #options: StoreOptions;
  readonly #collections = new Map<KindName, Collection>();
  readonly #applied = new AppliedManifests();
  #revision = firstRevision;

  constructor(options: StoreOptions) {
    this.#options = options;
    for (const { kind } of servedKinds) this.#collections.set(kind, new Collection(firstRevision));
  }

  get revision(): number {
    return this.#revision;
  }

  collection(kind: KindName): Collection {
    const collection = this.#collections.get(kind);
    if (collection === undefined) throw new Error(`${kind} is not served`);
    return collection;
  }

  get(kind: ServedKind, key: string): Version {
    const version = this.collection(kind.kind).get(key);
    if (version === undefined) throw notFound(kind, key);
    return version;
  }

  create(kind: ServedKind, sent: SentObject, writer: string): Version {
    const key = keyOf(sent.metadata);
    const { name } = sent.metadata;
    if (this.collection(kind.kind).get(key) !== undefined) {
      throw new Refusal('AlreadyExists', `${kind.plural} "${name}" already exists`, name);
    }
    if (sent.metadata.resourceVersion !== undefined) {
      throw new Refusal('BadRequest', 'resourceVersion should not be set on objects to be created');
    }
    const { labels, annotations, finalizers, ownerReferences, namespace } = sent.metadata;
    const metadata = {
      name,
      namespace,
      labels,
      annotations,
      finalizers,
      ownerReferences,
      uid: this.#options.uid(),
      resourceVersion: '',
      ...(kind.hasGeneration && { generation: 1 }),
      creationTimestamp: this.#time(),
    };
    const { status, ...members } = membersOf(kind, sent);
    const first = kind.complete.status(kind.hasStatus && !kind.keepsFirstStatus ? undefined : status);
    const object = { apiVersion: kind.apiVersion, kind: kind.kind, metadata, ...members, status: first };
    return this.#store(kind, key, object, undefined, writer);
  }

  update(kind: ServedKind, key: string, alteration: Alteration, part: 'Main' | 'Status', writer: string): Version {
    const before = this.get(kind, key);
    const sent = 'patch' in alteration ? patched(before.object, alteration.patch) : alteration.replacement;
    const isPatch = 'patch' in alteration;
    requireVersion(kind, sent.metadata, before.object, isPatch);
    const after = part === 'Status' ? withStatus(kind, sent, before.object) : withMembers(kind, sent, before.object);
    if (sameJson(after, before.object)) return before;
    requireNoNewFinalizers(after, before.object);
    return this.#store(kind, key, after, before, writer);
  }

  /** Server-side apply, with force: makes the object if there is none. */
  apply(kind: ServedKind, key: string, sent: SentObject, manager: string, writer: string): Version {
    const before = this.collection(kind.kind).get(key);
    const { resourceVersion: _, uid, ...metadata } = sent.metadata;
    const namespace = kind.isNamespaced ? key.slice(0, key.indexOf('/')) : undefined;
    if (before === undefined && uid !== undefined) {
      const message = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
      throw new Refusal('Conflict', message, metadata.name);
    }
    const version =
      before === undefined
        ? this.create(kind, { ...sent, metadata: { ...metadata, namespace } }, writer)
        : this.#replace(kind, key, this.#applied.onto(before.object, manager, sent), writer);
    this.#applied.remember(version.object.metadata.uid, manager, sent);
    return version;
  }

  remove(kind: ServedKind, key: string, preconditions: Preconditions, writer: string): Version {
    const before = this.get(kind, key);
    const { metadata } = before.object;
    const { name, uid, resourceVersion } = metadata;
    const isOther = preconditions.uid !== undefined && preconditions.uid !== uid;
    const isLater = preconditions.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion;
    if (isOther || isLater) throw new Refusal('Conflict', `Precondition failed for ${kind.plural} "${name}"`, name);
    if ((metadata.finalizers ?? []).length === 0) return this.#discard(kind, key, before.object, before, writer);
    if (metadata.deletionTimestamp !== undefined) return before;
    const { generation } = metadata;
    const marked = {
      ...metadata,
      ...(generation !== undefined && { generation: generation + 1 }),
      deletionTimestamp: this.#time(),
      deletionGracePeriodSeconds: 0,
    };
    return this.#store(kind, key, { ...before.object, metadata: marked }, before, writer);
  }

  backUp(): Backup {
    const objects = new Map([...this.#collections].map(([kind, collection]) => [kind, collection.snapshot()]));
    return { revision: this.#revision, objects };
  }

  /** Versions that were given since are given again, to other objects. */
  restore({ revision, objects }: Backup): void {
    this.#revision = revision;
    for (const [kind, collection] of this.#collections) collection.reset(objects.get(kind) ?? new Map(), revision);
  }

  #replace(kind: ServedKind, key: string, object: unknown, writer: string): Version {
    const replacement = parseSent(object);
    if (replacement === undefined) throw new Refusal('BadRequest', 'the manifest does not leave an object');
    return this.update(kind, key, { replacement }, 'Main', writer);
  }

  /** Stores an object that was found valid, or removes it if nothing keeps it any longer. */
  #store(kind: ServedKind, key: string, object: StoredObject, before: Version | undefined, writer: string): Version {
    const problem = kind.problemOf(object, before?.object);
    const { name, deletionTimestamp, finalizers = [] } = object.metadata;
    if (problem !== undefined) throw new Refusal('Invalid', `${kind.kind} "${name}" is invalid: ${problem}`, name);
    if (before !== undefined && deletionTimestamp !== undefined && finalizers.length === 0) {
      return this.#discard(kind, key, object, before, writer);
    }
    const version = this.#next(kind.hasManagers ? this.#managed(object, writer) : object);
    this.#apply(kind, { type: before === undefined ? 'ADDED' : 'MODIFIED', key, version, before });
    this.#options.onWrite({ writer, kind: kind.kind, before: before?.object, after: version.object });
    return version;
  }

  #discard(kind: ServedKind, key: string, object: StoredObject, before: Version, writer: string): Version {
    const version = this.#next(object);
    this.#applied.forget(object.metadata.uid);
    this.#apply(kind, { type: 'DELETED', key, version, before });
    this.#options.onWrite({ writer, kind: kind.kind, before: before.object, after: undefined });
    return version;
  }

  #next(object: StoredObject): Version {
    this.#revision += 1;
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    return new Version({ ...object, metadata }, this.#revision);
  }

  #apply(kind: ServedKind, change: Pick<Change, 'type' | 'key' | 'version' | 'before'>): void {
    this.collection(kind.kind).apply({ ...change, revision: change.version.revision, at: this.#options.elapsed() });
  }

  #managed(object: StoredObject, manager: string): StoredObject {
    const others = object.metadata.managedFields?.filter((each) => each.manager !== manager) ?? [];
    const managedFields = [...others, { manager, operation: 'Update', time: this.#time() }];
    return { ...object, metadata: { ...object.metadata, managedFields } };
  }

  #time(): string {
    return new Date(this.#options.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  }
}

function notFound(kind: ServedKind, key: string): Refusal {
  const name = key.slice(key.indexOf('/') + 1);
  return new Refusal('NotFound', `${kind.plural} "${name}" not found`, name);
}

function patched(before: StoredObject, patch: unknown): SentObject {
  const sent = parseSent(merged(before, patch));
  if (sent === undefined) throw new Refusal('BadRequest', 'the patch does not leave an object');
  return sent;
}

function requireVersion(kind: ServedKind, sent: SentObject['metadata'], before: StoredObject, isPatch: boolean): void {
  const { name, uid, resourceVersion } = before.metadata;
  const modified = `Operation cannot be fulfilled on ${kind.plural} "${name}": the object has been modified`;
  if (sent.resourceVersion === undefined && !kind.isVersionOptional) {
    throw new Refusal(
      'Invalid',
      `${kind.kind} "${name}" is invalid: metadata.resourceVersion: must be specified`,
      name,
    );
  }
  if (!isPatch && sent.uid !== undefined && sent.uid !== uid) throw new Refusal('Conflict', modified, name);
  if (sent.resourceVersion !== undefined && sent.resourceVersion !== resourceVersion) {
    throw new Refusal('Conflict', modified, name);
  }
  if (sent.uid !== undefined && sent.uid !== uid) {
    throw new Refusal('Invalid', `${kind.kind} "${name}" is invalid: metadata.uid: field is immutable`, name);
  }
}

function withStatus(kind: ServedKind, sent: SentObject, before: StoredObject): StoredObject {
  return { ...before, status: kind.complete.status(sent['status']) };
}

function withMembers(kind: ServedKind, sent: SentObject, before: StoredObject): StoredObject {
  const { labels, annotations, finalizers, ownerReferences } = sent.metadata;
  const { status: sentStatus, ...members } = membersOf(kind, sent, before);
  const status = kind.hasStatus ? before['status'] : sentStatus;
  const isNew = kind.hasGeneration && !sameJson(members['spec'], before['spec']);
  const metadata: StoredMetadata = {
    ...before.metadata,
    labels,
    annotations,
    finalizers,
    ownerReferences,
    ...(isNew && { generation: (before.metadata.generation ?? 0) + 1 }),
  };
  return { apiVersion: kind.apiVersion, kind: kind.kind, metadata, ...members, status };
}

/** The members beside the metadata, with the spec that the kind's schema makes of the one that was sent. */
function membersOf(kind: ServedKind, sent: SentObject, before?: StoredObject): Record<string, unknown> {
  const { apiVersion: _, kind: __, metadata: ___, ...members } = sent;
  if (before !== undefined && members['spec'] === before['spec']) return members;
  return { ...members, spec: kind.complete.spec(members['spec']) };
}

function requireNoNewFinalizers(after: StoredObject, before: StoredObject): void {
  const { name, deletionTimestamp, finalizers = [] } = after.metadata;
  if (deletionTimestamp === undefined) return;
  const isNew = finalizers.some((each) => before.metadata.finalizers?.includes(each) !== true);
  if (isNew) throw new Refusal('Invalid', 'no new finalizers can be added if the object is being deleted', name);
}
