// What one session has told its agent, so that nothing is told twice.
import type { Intent } from '../../protocol/intent.ts';
import { type Assignment, limits } from '../../protocol/messages.ts';
import { BoundedMemory } from '../../runtime/bounded-memory.ts';

/** VMs that the agent was told to give up. The oldest are told again. */
const rememberedReleases = 2 * limits.virtualMachinesPerHost;

export class ToldSoFar {
  /** The last of each VM, by uid (`newsOf`). */
  readonly #last = new Map<string, string>();
  readonly #released = new Set<string>();
  readonly #policies = new BoundedMemory<true>(limits.sentPolicyBytes);

  isNews(told: Assignment | Intent): boolean {
    return this.#last.get(told.uid) !== newsOf(told);
  }

  note(told: Assignment | Intent): void {
    this.#last.set(told.uid, newsOf(told));
    this.#released.delete(told.uid);
  }

  /** A policy travels once, however many VMs have it, until many others have. */
  needsPolicy(assignment: Assignment): boolean {
    const { policySHA256 } = assignment;
    return policySHA256 !== undefined && !this.#policies.has(policySHA256) && this.isNews(assignment);
  }

  /** False when it was sent before. */
  notePolicy(sha256: string, chars: number): boolean {
    if (this.#policies.has(sha256)) return false;
    this.#policies.set(sha256, true, chars);
    return true;
  }

  noteRelease(uid: string): void {
    this.#last.delete(uid);
    this.#released.add(uid);
    for (const oldest of this.#released) {
      if (this.#released.size <= rememberedReleases) return;
      this.#released.delete(oldest);
    }
  }

  hasReleased(uid: string): boolean {
    return this.#released.has(uid);
  }

  /** The agent does not have the VM any more. */
  forget(uid: string): void {
    this.#last.delete(uid);
    this.#released.delete(uid);
  }
}

/**
 * What would be news to the agent that has been told of this VM: not what its status remembers, which the agent said itself.
 * The options, and the policy, stand there by their digest.
 */
function newsOf(told: Assignment | Intent): string {
  const { remembered, options, uid, namespace, name, ...news } = 'options' in told ? told : { ...told, options: {} };
  return JSON.stringify(news);
}
