// What a set will do, in order, if every VM comes up: the plan itself, run without bounds on how many VMs it takes at once.
import { machineName } from './ordinals.ts';
import { type Action, isPresent, type PlanInput, plan, type Replica } from './plan.ts';

export interface PreviewStep {
  readonly kind: 'Create' | 'Delete' | 'LivePart' | 'Live' | 'Switch' | 'Restart' | 'Recreate';
  /** The VMs are available before, so the bounds of the set hold for them. */
  readonly isBounded: boolean;
  /** In the order in which they are taken. */
  readonly names: readonly string[];
}

export interface Preview {
  readonly steps: readonly PreviewStep[];
  /** VMs that need what the method of the set does not allow. */
  readonly refused: readonly string[];
  /** VMs that need a change and do not get it yet: they are being deleted, leave their hosts, or their hosts are away. */
  readonly waiting: readonly string[];
}

interface Move extends Omit<PreviewStep, 'names'> {
  readonly name: string;
}

/** VMs that lost their readiness are taken one after another, a round for each. Those of later rounds are `waiting`. */
const roundsMaximum = 64;

export function preview(set: string, input: PlanInput): Preview {
  const bounds = { maxUnavailable: Number.POSITIVE_INFINITY, maxParallelLive: Number.POSITIVE_INFINITY };
  const steps: PreviewStep[] = [];
  const world = new Map(input.replicas.map((replica) => [replica.name, replica]));
  const made = new Set<number>();
  let current = plan({ ...input, ...bounds });
  const { allowed, refused } = current;
  for (let round = 0; round < roundsMaximum; round += 1) {
    const moves = current.actions.flatMap((action) => moveOf(set, action, world, made) ?? []);
    if (moves.length === 0) break;
    addSteps(steps, moves);
    for (const move of moves) carryOut(world, move, input.updateRevision);
    current = plan({ ...input, ...bounds, replicas: [...world.values()] });
  }
  const isLeft = ({ name, ordinal, step }: Replica) => step && allowed.has(ordinal) && !refused.includes(name);
  return { steps, refused, waiting: [...world.values()].filter(isLeft).map(({ name }) => name) };
}

function moveOf(set: string, action: Action, world: ReadonlyMap<string, Replica>, made: Set<number>): Move | undefined {
  if (action.kind === 'Create') {
    // The plan makes it again in each round, since nothing is known of it.
    if (made.has(action.ordinal)) return undefined;
    made.add(action.ordinal);
    return { kind: 'Create', isBounded: false, name: machineName(set, action.ordinal) };
  }
  const replica = world.get(action.name);
  if (replica === undefined || action.kind === 'Evict' || action.kind === 'Stay') return undefined;
  const kind = kindOf(action, replica);
  // Scaling in is not budgeted.
  return { kind, isBounded: kind !== 'Delete' && isPresent(replica), name: action.name };
}

function kindOf(
  action: Extract<Action, { kind: 'Delete' | 'Update' | 'UpdateLivePart' }>,
  { step }: Replica,
): PreviewStep['kind'] {
  if (action.kind === 'Delete') return action.why === 'Recreate' ? 'Recreate' : 'Delete';
  if (action.kind === 'UpdateLivePart') return 'LivePart';
  if (action.restart) return 'Restart';
  return step === 'Switch' ? 'Switch' : 'Live';
}

/** Moves of one kind become one step; VMs of one round that need different things do not wait for each other. */
function addSteps(steps: PreviewStep[], moves: readonly Move[]): void {
  const groups = new Map<string, PreviewStep & { readonly names: string[] }>();
  for (const { isBounded, kind, name } of moves) {
    const key = `${kind} ${isBounded}`;
    const group = groups.get(key) ?? { kind, isBounded, names: [] };
    group.names.push(name);
    groups.set(key, group);
  }
  for (const { isBounded, kind, names } of groups.values()) {
    const last = steps.at(-1);
    const isSame = last?.kind === kind && last.isBounded === isBounded;
    if (isSame) steps.splice(-1, 1, { ...last, names: [...last.names, ...names] });
    else steps.push({ kind, isBounded, names });
  }
}

function carryOut(world: Map<string, Replica>, { kind, name }: Move, revision: string): void {
  const before = world.get(name);
  if (before === undefined) return;
  if (kind === 'Delete') world.delete(name);
  else if (kind === 'LivePart') world.set(name, { ...before, lacksLivePart: false });
  else {
    const settled = { isDeleting: false, isRestarting: false, isChanging: false, restartRequired: false };
    const up = { isAvailable: true, wasReady: true, step: undefined, lacksLivePart: false };
    world.set(name, { ...before, ...settled, ...up, revision });
  }
}
