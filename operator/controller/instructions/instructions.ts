// Decides what an agent is sent about a VM, and what prevents a complete assignment (design §11). If the spec or
// something that it refers to cannot be read, the agent gets an intent and keeps its options.
import type { Phase } from '../../../crds/linux-utility-vm.ts';
import type { Intent } from '../../../protocol/intent.ts';
import type { ObservedVirtualMachine, RunStrategy } from '../../../protocol/messages.ts';
import { essentialsOf, type VirtualMachine } from '../../kubernetes/objects.ts';
import { holdsRoom, isStart } from '../knowledge/rest.ts';
import { conditionOf } from '../knowledge/stored-condition.ts';
import type { ReferencesVerdict, Verdict } from '../status/status.ts';
import type { Agents, DesiredMachine, Told } from './agents.ts';
import { intentOf, RecentAssignments, sourceDigest } from './assignment.ts';
import { hasReferences, type ReferenceReader } from './references.ts';

export type Wanted =
  | { readonly ok: true; readonly desired: DesiredMachine; readonly references: ReferencesVerdict }
  | {
      readonly ok: false;
      readonly verdict: Verdict;
      readonly intent: Intent;
      /** Digest of the spec as written; undefined when the spec cannot be read. */
      readonly sourceDigest: string | undefined;
      readonly references: ReferencesVerdict;
    };

export interface InstructionsOptions {
  readonly references: ReferenceReader;
  readonly agents: Agents;
  /** Whether the VM must be halted on its host, whatever its run strategy says. */
  readonly isHaltedByDrain: (object: VirtualMachine) => boolean;
}

export class Instructions {
  readonly #options: InstructionsOptions;
  readonly #assignments = new RecentAssignments();

  constructor(options: InstructionsOptions) {
    this.#options = options;
  }

  async of(object: VirtualMachine): Promise<Wanted> {
    const { spec } = object;
    if (!spec.ok) return this.#onlyIntent(object, { reason: 'InvalidSpec', message: spec.message }, 'None');
    const references = await this.#options.references.read(object);
    if (!references.ok) return this.#onlyIntent(object, references.verdict, references.verdict);
    const { policy } = references;
    const resolved = hasReferences(spec.value) ? 'Resolved' : 'None';
    const runStrategy = this.#runStrategy(object) ?? spec.value.runStrategy;
    const desired = this.#assignments.desired(object, spec.value, policy, runStrategy);
    if (desired !== undefined) return this.#withPolicy(object, desired, resolved);
    const message = 'the options are too large to be sent to an agent';
    return this.#onlyIntent(object, { reason: 'InvalidOptions', message }, resolved);
  }

  tell(nodeName: string, wanted: Wanted): void {
    const { agents } = this.#options;
    if (wanted.ok) agents.assign(nodeName, wanted.desired);
    else agents.intend(nodeName, wanted.intent);
  }

  forget(uid: string): void {
    this.#assignments.forget(uid);
  }

  /** Reads the text of the policy for an agent that has not received it. */
  async #withPolicy(object: VirtualMachine, desired: DesiredMachine, resolved: ReferencesVerdict): Promise<Wanted> {
    const { agents, references } = this.#options;
    const { nodeName } = object.status;
    const { policySHA256 } = desired.assignment;
    if (nodeName === undefined || policySHA256 === undefined || !agents.needsPolicy(nodeName, desired.assignment)) {
      return { ok: true, desired, references: resolved };
    }
    const policy = await references.text(object, policySHA256);
    if (!policy.ok) return this.#onlyIntent(object, policy.verdict, resolved === 'None' ? 'None' : policy.verdict);
    return { ok: true, desired: { ...desired, policy: policy.text }, references: resolved };
  }

  #onlyIntent(object: VirtualMachine, verdict: Verdict, references: ReferencesVerdict): Wanted {
    const { spec } = object;
    const intent = intentOf(object, this.#runStrategy(object));
    const digest = spec.ok ? sourceDigest(spec.value, spec.policy) : undefined;
    return { ok: false, verdict, intent, sourceDigest: digest, references };
  }

  /** A VM at rest is not started before it is admitted. A VM whose spec cannot be read keeps its last strategy. */
  #runStrategy(object: VirtualMachine): RunStrategy | undefined {
    if (isStart(object) || this.#options.isHaltedByDrain(object)) return 'Halted';
    const { runStrategy } = essentialsOf(object.spec);
    return object.spec.ok || holdsRoom(object) || runStrategy === 'Halted' ? runStrategy : undefined;
  }
}

export function toldOf(wanted: Wanted): Told {
  return wanted.ok ? wanted.desired : { intent: wanted.intent };
}

/**
 * The obstacle between the VM and its manifest. Undefined, too, when a reference cannot be read but nothing new is
 * wanted: the agent has the options of this very manifest, or only has to stop the VM.
 */
export function obstacleOf(
  object: VirtualMachine,
  wanted: Wanted,
  observed: ObservedVirtualMachine | undefined,
): Verdict | undefined {
  if (wanted.ok) return undefined;
  if (wanted.verdict.reason !== 'ReferenceUnreadable') return wanted.verdict;
  const hasThese =
    observed === undefined
      ? hadThese(object)
      : observed.sourceDigest !== undefined && observed.sourceDigest === wanted.sourceDigest;
  return hasThese || essentialsOf(object.spec).runStrategy === 'Halted' ? undefined : wanted.verdict;
}

const runningPhases: ReadonlySet<Phase | undefined> = new Set(['Running', 'Unknown']);

/**
 * What is stored counts until the agent reports to this leader: a VM that followed this generation and may run still
 * has the options.
 */
function hadThese({ metadata, status }: VirtualMachine): boolean {
  const ready = conditionOf(status.conditions, 'Ready');
  const hasFollowed = status.observedGeneration === metadata.generation;
  return hasFollowed && runningPhases.has(status.phase) && ready !== undefined && ready.status !== 'False';
}
