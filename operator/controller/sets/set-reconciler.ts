// One pass over one LinuxUtilityVMSet (design §13). Level-triggered: every pass decides from scratch.
//
//   revision ──► members (adopt, release) ──► plan ──► writes of VMs ──► status
//
// Before the first write of a term that takes a VM away, and after each write that failed, all VMs of the set are read
// live: a cache that is behind must not spend a budget that an earlier leader, or a write without an answer, has spent.
import { revisionLabel, setLabel } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMSetSpec, LinuxUtilityVMSetStatus } from '../../../crds/linux-utility-vm-set.ts';
import { wantedOrdinals } from '../../../sets/ordinals.ts';
import { isDisruptive } from '../../../sets/plan.ts';
import type { ApiError } from '../../kubernetes/api-error.ts';
import { machineKind } from '../../kubernetes/caches.ts';
import type { KubeHttp } from '../../kubernetes/http.ts';
import { type MachineSet, objectKey, parseVirtualMachine, type VirtualMachine } from '../../kubernetes/objects.ts';
import { collectionPath } from '../../kubernetes/resource-client.ts';
import { list } from '../../kubernetes/watch.ts';
import { done, type Result, soonest } from '../../queue/result.ts';
import type { VirtualMachines } from '../knowledge/virtual-machines.ts';
import type { Verdict } from '../status/status.ts';
import { type MemberWrite, MemberWrites, type MemberWritesOptions } from './member-writes.ts';
import { type Members, membersOf } from './ownership.ts';
import { type JudgedReplica, judgeReplica } from './replica.ts';
import { type Ensured, RevisionStore } from './revision-store.ts';
import { SetActions } from './set-actions.ts';
import { SetMemory } from './set-memory.ts';
import { endingStatus, nextChange, type SetVerdict, type SetView, setStatus } from './set-status.ts';
import { SetStatusWriter, type SetStatusWriterOptions } from './set-status-writer.ts';
import { SetViews } from './set-view.ts';

export interface SetReconcilerOptions
  extends Omit<MemberWritesOptions, 'clients'>,
    Omit<SetStatusWriterOptions, 'client'> {
  readonly http: KubeHttp;
  readonly clients: MemberWritesOptions['clients'] & { readonly sets: SetStatusWriterOptions['client'] };
  readonly sets: { get(key: string): MachineSet | undefined };
  readonly machines: VirtualMachines;
  /** Milliseconds until a drain asks to take the VM from its host. */
  readonly untilAsked: (object: VirtualMachine) => number | undefined;
  /** Stores that a drain may take the VM away, or that the drain is over. */
  readonly evict: (object: VirtualMachine, verdict: Verdict | 'Over') => Promise<Result>;
  readonly stop: AbortSignal;
}

const spacingMilliseconds = 200;
const refusalMilliseconds = 60_000;

/** A set that can be acted on. */
interface Readable {
  readonly set: MachineSet;
  readonly spec: LinuxUtilityVMSetSpec;
  readonly wanted: readonly number[];
  readonly revisions: Ensured;
  readonly memory: SetMemory;
}

export class SetReconciler {
  readonly #options: SetReconcilerOptions;
  readonly #writes: MemberWrites;
  readonly #actions: SetActions;
  readonly #status: SetStatusWriter;
  readonly #revisions: RevisionStore;
  /** By uid. */
  readonly #memories = new Map<string, SetMemory>();

  constructor(options: SetReconcilerOptions) {
    this.#options = options;
    this.#writes = new MemberWrites(options);
    this.#actions = new SetActions(this.#writes, options.evict);
    this.#status = new SetStatusWriter({ ...options, client: options.clients.sets });
    this.#revisions = new RevisionStore(options.http, options.stop);
  }

  forget(uid: string): void {
    this.#memories.delete(uid);
    this.#revisions.forget(uid);
  }

  async reconcile(key: string): Promise<Result> {
    const cached = this.#options.sets.get(key);
    if (cached === undefined) return done;
    const memory = this.#memories.get(cached.metadata.uid) ?? new SetMemory();
    this.#memories.set(cached.metadata.uid, memory);
    const wait = memory.passedAt + spacingMilliseconds - this.#options.clock.now();
    if (wait > 0) return { kind: 'After', milliseconds: wait };
    memory.passedAt = this.#options.clock.now();
    return this.#pass(memory.newest(cached), memory);
  }

  async #pass(set: MachineSet, memory: SetMemory): Promise<Result> {
    const isEnding = set.metadata.deletionTimestamp !== undefined;
    if (isEnding) return this.#end(set, memory);
    if (!set.spec.ok) return this.#stall(set, memory, { reason: 'InvalidSpec', message: set.spec.message });
    const spec = set.spec.value;
    const ordinals = wantedOrdinals(spec);
    if (!ordinals.ok) return this.#stall(set, memory, { reason: 'OrdinalsInvalid', message: ordinals.message });
    const wanted = ordinals.ordinals;
    const problem = memory.problemOf(spec.template, set.metadata.name, wanted);
    if (problem !== undefined) return this.#stall(set, memory, { reason: 'TemplateInvalid', message: problem });
    const revisions = await this.#revisions.ensure(set, spec.template);
    if (!revisions.ok) return { kind: 'Retry', error: revisions.error };
    return this.#act({ set, spec, wanted, revisions: revisions.value, memory });
  }

  async #act(readable: Readable): Promise<Result> {
    const { set, memory } = readable;
    const settled = await this.#settleMembers(set, this.#members(readable));
    if (settled !== undefined) return settled;
    const { plan, views, view } = this.#view(readable);
    if (plan.actions.some(isDisruptive) && !memory.hasReadMembers) return this.#readMembers(set, memory);
    const refused = this.#refusalOf(memory, views.update.name);
    const actions = refused === undefined ? plan.actions : plan.actions.filter(({ kind }) => !isMaking(kind));
    const { writes, result, replaced } = await this.#actions.run(readable, views, view, actions);
    for (const replica of replaced) this.#noteReplacement(set, memory, replica);
    const failure = writes.find((write) => write.kind === 'Failed');
    if (failure !== undefined) this.#note(memory, views.update.name, failure.error);
    memory.reviewReplacements(
      readable.wanted,
      new Set(view.replicas.filter(({ isAvailable }) => isAvailable).map(({ ordinal }) => ordinal)),
    );
    // It may have taken effect all the same.
    if (failure !== undefined || result.kind === 'Retry') memory.hasReadMembers = false;
    // The status is about what is now, with the writes of this pass.
    const after = this.#view(readable);
    const verdict = this.#verdict(readable, after.view, failure?.error);
    const status = setStatus(set, after.view, verdict, this.#options.clock.now());
    const written = await this.#status.write(set, memory, status);
    await this.#prune(readable, status, after.view);
    return [result, followUp(writes, failure?.error, actions.length), this.#later(after.view, status)].reduce(
      soonest,
      written,
    );
  }

  async #stall(set: MachineSet, memory: SetMemory, verdict: SetVerdict): Promise<Result> {
    return this.#status.write(set, memory, setStatus(set, undefined, verdict, this.#options.clock.now()));
  }

  /** The garbage collector deletes the VMs of a set that ends, or sets them free. */
  async #end(set: MachineSet, memory: SetMemory): Promise<Result> {
    const now = this.#options.clock.now();
    const { own } = this.#members({ set, wanted: [] });
    const replicas = own.map(({ object, ordinal }) =>
      judgeReplica({
        object,
        ordinal,
        isDeleted: this.#writes.isDeleted(object.metadata.uid),
        isToLeave: false,
        minReadySeconds: set.spec.ok ? set.spec.value.minReadySeconds : 0,
        replacement: undefined,
        now,
        step: object.metadata.labels?.[revisionLabel] === set.status.updateRevision ? undefined : 'Restart',
        lacksLivePart: false,
      }),
    );
    return this.#status.write(set, memory, endingStatus(set, replicas, now));
  }

  #members({ set, wanted }: Pick<Readable, 'set' | 'wanted'>): Members {
    const { machines } = this.#options;
    const { namespace } = set.metadata;
    const candidates = [...machines.membersOf(objectKey(set.metadata))].flatMap((key) => machines.get(key) ?? []);
    return membersOf(set, candidates, wanted, (name) => machines.get(objectKey({ name, namespace })));
  }

  #view(readable: Readable) {
    const { set, spec, wanted, revisions, memory } = readable;
    const { clock, untilAsked } = this.#options;
    const views = new SetViews({
      set,
      spec,
      wanted,
      revisions,
      members: this.#members(readable),
      isDeleted: (uid) => this.#writes.isDeleted(uid),
      isToLeave: (object) => untilAsked(object) === 0,
      replacementsOf: (ordinal) => memory.replacementsOf(ordinal),
      now: clock.now(),
    });
    const view = views.view();
    return { views, view, plan: view.plan };
  }

  /** Adopts and releases. Undefined if there was nothing to do. */
  async #settleMembers(set: MachineSet, { toAdopt, toRelease }: Members): Promise<Result | undefined> {
    if (toAdopt.length === 0 && toRelease.length === 0) return undefined;
    const writes = [
      ...toRelease.map((object) => () => this.#writes.release(set, object)),
      ...toAdopt.map((object) => () => this.#writes.adopt(set, object)),
    ];
    for (const write of writes) {
      const outcome = await write();
      if (outcome.kind === 'Failed') return { kind: 'Retry', error: outcome.error };
    }
    return { kind: 'After', milliseconds: spacingMilliseconds };
  }

  /** Reads what an earlier leader may have written, before anything is taken away. */
  async #readMembers(set: MachineSet, memory: SetMemory): Promise<Result> {
    const { http, machines, stop, wakeMachine } = this.#options;
    const { namespace, name } = set.metadata;
    const collection = { path: collectionPath(machineKind, namespace), labelSelector: `${setLabel}=${name}` };
    const known = [...machines.membersOf(objectKey(set.metadata))].flatMap((key) => machines.get(key) ?? []);
    const found = new Set<string>();
    const read = await list(http, collection, stop, (items) => {
      for (const object of items.flatMap((item) => parseVirtualMachine(item) ?? [])) {
        found.add(object.metadata.uid);
        machines.remember(object);
        wakeMachine(objectKey(object.metadata));
      }
    });
    if (!read.ok) return { kind: 'Retry', error: read.error };
    for (const { metadata } of known) if (!found.has(metadata.uid)) this.#writes.bury(metadata.uid);
    memory.hasReadMembers = true;
    memory.passedAt = Number.NEGATIVE_INFINITY;
    return { kind: 'After', milliseconds: 0 };
  }

  #noteReplacement(set: MachineSet, memory: SetMemory, { name, ordinal, object }: JudgedReplica): void {
    const { startFailure, nodeName } = object.status;
    memory.replaced(ordinal, nodeName);
    this.#options.record({
      regarding: { kind: 'LinuxUtilityVMSet', metadata: set.metadata },
      type: 'Warning',
      reason: 'Replaced',
      action: 'Reconcile',
      note: `${name} is replaced: ${startFailure?.count ?? 0} starts in a row failed on ${nodeName ?? 'its host'}`,
    });
  }

  /** The API server did not accept a VM of this revision: it is asked again after a while, or for another revision. */
  #refusalOf(memory: SetMemory, revision: string): SetVerdict | undefined {
    const { refusal } = memory;
    if (refusal?.revision !== revision) return undefined;
    return this.#options.clock.now() < refusal.at + refusalMilliseconds ? refusal.verdict : undefined;
  }

  #note(memory: SetMemory, revision: string, error: ApiError): void {
    if (error.code !== 422 && error.code !== 400) return;
    const verdict: SetVerdict = { reason: 'TemplateInvalid', message: error.message };
    memory.refusal = { revision, at: this.#options.clock.now(), verdict };
  }

  #verdict({ memory }: Readable, view: SetView, error: ApiError | undefined): SetVerdict | undefined {
    const refused = this.#refusalOf(memory, view.updateRevision);
    if (refused !== undefined) return refused;
    if (error?.code === 403) return { reason: 'CreateRefused', message: error.message };
    const [taken] = view.taken;
    if (taken !== undefined) {
      const message = `the VM with ordinal ${taken} cannot be made: another object has its name`;
      return { reason: 'NameConflict', message };
    }
    const [refusedName] = view.plan.refused;
    if (refusedName === undefined) return undefined;
    const message = `${refusedName} needs a restart, which spec.update.method LiveOnly does not allow`;
    return { reason: 'LiveChangeRefused', message };
  }

  async #prune({ set, spec }: Readable, status: LinuxUtilityVMSetStatus, view: SetView): Promise<void> {
    const used = [status.currentRevision, view.currentRevision, view.updateRevision];
    const inUse = new Set([...used, ...view.replicas.map(({ revision }) => revision)].filter(isText));
    await this.#revisions.prune(set, inUse, spec.revisionHistoryLimit);
  }

  /** When to look again although nothing happens. */
  #later(view: SetView, status: LinuxUtilityVMSetStatus): Result {
    const { clock, untilAsked } = this.#options;
    const drains = view.replicas
      .map(({ object }) => untilAsked(object) ?? 0)
      .filter((milliseconds) => milliseconds > 0);
    const next = nextChange(view, status, clock.now()) ?? Number.POSITIVE_INFINITY;
    const milliseconds = Math.min(next, ...drains);
    return Number.isFinite(milliseconds) ? { kind: 'After', milliseconds } : done;
  }
}

function isMaking(kind: string): boolean {
  return kind === 'Create' || kind === 'Update';
}

function followUp(writes: readonly MemberWrite[], error: ApiError | undefined, actions: number): Result {
  if (error !== undefined && error.code !== 422 && error.code !== 400) return { kind: 'Retry', error };
  if (error !== undefined) return { kind: 'After', milliseconds: refusalMilliseconds };
  const isUnfinished = writes.length < actions || writes.some(({ kind }) => kind === 'Outdated');
  return isUnfinished ? { kind: 'After', milliseconds: spacingMilliseconds } : done;
}

function isText(value: string | undefined): value is string {
  return value !== undefined;
}
