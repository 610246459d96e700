// Carries out the actions of a plan. A failed write ends the pass, and the next plan starts from what is.
import type { SetTemplate } from '../../../crds/set/template.ts';
import { reasons } from '../../../protocol/reasons.ts';
import { type Action, isDisruptive } from '../../../sets/plan.ts';
import type { MachineSet, VirtualMachine } from '../../kubernetes/objects.ts';
import { done, type Result, soonest } from '../../queue/result.ts';
import type { Verdict } from '../status/status.ts';
import type { MemberWrite, MemberWrites } from './member-writes.ts';
import type { JudgedReplica } from './replica.ts';
import type { SetMemory } from './set-memory.ts';
import type { SetView } from './set-status.ts';
import type { SetViews } from './set-view.ts';
import { inSlowStart } from './slow-start.ts';

export interface Carried {
  readonly writes: readonly MemberWrite[];
  /** When to look again at VMs whose status could not be written. */
  readonly result: Result;
  /** VMs that were deleted because their start fails. */
  readonly replaced: readonly JudgedReplica[];
}

/** A pass does not last so long that it works with an old view. */
const actionsOfPass = 500;

export class SetActions {
  readonly #writes: MemberWrites;
  readonly #evict: (object: VirtualMachine, verdict: Verdict | 'Over') => Promise<Result>;

  constructor(writes: MemberWrites, evict: (object: VirtualMachine, verdict: Verdict | 'Over') => Promise<Result>) {
    this.#writes = writes;
    this.#evict = evict;
  }

  async run(
    { set, memory }: { readonly set: MachineSet; readonly memory: Pick<SetMemory, 'replacedOn'> },
    views: SetViews,
    view: SetView,
    actions: readonly Action[],
  ): Promise<Carried> {
    const byName = new Map(view.replicas.map((replica) => [replica.name, replica]));
    const replaced: JudgedReplica[] = [];
    let result = done;
    const writes = await inSlowStart(
      inOrder(actions).slice(0, actionsOfPass),
      async (action) => {
        if (action.kind === 'Create') return this.#create(set, views, action, memory.replacedOn(action.ordinal));
        const replica = byName.get(action.name);
        if (replica === undefined) return outdated;
        if (action.kind === 'Evict' || action.kind === 'Stay') {
          result = soonest(result, await this.#judge(replica, action.kind));
          return written;
        }
        const write = await this.#change(set, views, replica, action);
        const isReplaced = action.kind === 'Delete' && action.why === 'Replace' && write.kind === 'Written';
        if (isReplaced) replaced.push(replica);
        return write;
      },
      ({ kind }) => kind !== 'Failed',
    );
    return { writes, result, replaced };
  }

  async #create(
    set: MachineSet,
    views: SetViews,
    { ordinal, revision }: Extract<Action, { kind: 'Create' }>,
    replacedOn: string | undefined,
  ): Promise<MemberWrite> {
    const template = views.template(revision);
    if (template === undefined) return outdated;
    return this.#writes.apply({ set, ordinal, template, revision, object: undefined, replacedOn }, false);
  }

  async #judge({ object }: JudgedReplica, kind: 'Evict' | 'Stay'): Promise<Result> {
    if (kind === 'Stay') return this.#evict(object, 'Over');
    return this.#evict(object, { reason: 'DrainAllowed', message: reasons.DrainAllowed.text });
  }

  async #change(
    set: MachineSet,
    views: SetViews,
    replica: JudgedReplica,
    action: Extract<Action, { kind: 'Delete' | 'Update' | 'UpdateLivePart' }>,
  ): Promise<MemberWrite> {
    if (action.kind === 'Delete') return this.#writes.delete(replica.object);
    if (action.kind === 'Update') {
      const { name, template } = views.update;
      return this.#apply(set, replica, template, name, action.restart);
    }
    const template = views.livePartFor(replica);
    return template === undefined ? outdated : this.#apply(set, replica, template, replica.revision, false);
  }

  async #apply(
    set: MachineSet,
    { object, ordinal }: JudgedReplica,
    template: SetTemplate,
    revision: string | undefined,
    restart: boolean,
  ): Promise<MemberWrite> {
    if (revision === undefined) return outdated;
    return this.#writes.apply({ set, ordinal, template, revision, object }, restart);
  }
}

/** What spends the budget goes first, while the view that it was planned from is fresh. */
function inOrder(actions: readonly Action[]): readonly Action[] {
  return [...actions.filter(isDisruptive), ...actions.filter((action) => !isDisruptive(action))];
}

const written: MemberWrite = { kind: 'Written' };
const outdated: MemberWrite = { kind: 'Outdated' };
