// Remembers what one session has sent to its agent, so that nothing is sent twice.
import type { Intent } from '../../protocol/intent.ts';
import { type Assignment, limits } from '../../protocol/messages.ts';
import { BoundedMemory } from '../../runtime/bounded-memory.ts';

/** The most releases that are remembered. Older ones may be sent again. */
const rememberedReleases = 2 * limits.virtualMachinesPerHost;

export class ToldSoFar {
  /** The last message about each VM, by uid (`newsOf`). */
  readonly #last = new Map<string, string>();
  readonly #released = new Set<string>();
  readonly #policies = new BoundedMemory<true>(limits.sentPolicyBytes);

  isNews(told: Assignment | Intent): boolean {
    return this.#last.get(told.uid) !== newsOf(told);
  }

  /** Whether the agent was told what is wanted of the VM, and not to give it up since. */
  has(uid: string): boolean {
    return this.#last.has(uid);
  }

  note(told: Assignment | Intent): void {
    this.#last.set(told.uid, newsOf(told));
    this.#released.delete(told.uid);
  }

  /** A policy is sent once for all its VMs, and again only after many other policies. */
  needsPolicy(assignment: Assignment): boolean {
    const { policySHA256 } = assignment;
    return policySHA256 !== undefined && !this.#policies.has(policySHA256) && this.isNews(assignment);
  }

  /** False when the policy was sent before. */
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
 * The part of a message that is news to the agent. What the status remembers is left out, because the agent itself
 * reported it. Digests stand for the options and the policy.
 */
function newsOf(told: Assignment | Intent): string {
  const { remembered, options, uid, namespace, name, ...news } = 'options' in told ? told : { ...told, options: {} };
  return JSON.stringify(news);
}
