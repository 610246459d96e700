// Shares one judgement among all VMs with equal needs that fit nowhere (docs/design.md §10, Fairness): with 500 hosts a
// judgement takes at least a fifth of a millisecond, and thousands of VMs may wait. A refusal stays true while others
// take room, and is judged again once room may be available. A VM that fits is judged each time, because the next one
// may not fit.
import { sha256Hex } from '../../../protocol/digest.ts';
import { needsKey, type Placement, type PlacementNeeds } from './placement.ts';
import type { Preference } from './spread.ts';

const remembered = 2_000;
/** Longer keys are remembered by their digest: tolerations and selectors are texts of users. */
const keyChars = 256;

export class Judgements {
  readonly #place: (needs: PlacementNeeds, preference?: Preference) => Placement;
  readonly #refusals = new Map<string, Placement>();

  constructor(place: (needs: PlacementNeeds, preference?: Preference) => Placement) {
    this.#place = place;
  }

  /** A preference refuses no host. */
  of(needs: PlacementNeeds, preference?: Preference): Placement {
    const key = keyOf(needs);
    const refusal = this.#refusals.get(key);
    if (refusal !== undefined) return refusal;
    const placement = this.#place(needs, preference);
    if (!placement.placed) this.#remember(key, placement);
    return placement;
  }

  /** A host was added, has fewer VMs, or may take VMs that it refused before. */
  roomMayHaveComeUp(): void {
    this.#refusals.clear();
  }

  #remember(key: string, refusal: Placement): void {
    this.#refusals.set(key, refusal);
    for (const oldest of this.#refusals.keys()) {
      if (this.#refusals.size <= remembered) return;
      this.#refusals.delete(oldest);
    }
  }
}

function keyOf(needs: PlacementNeeds): string {
  const key = needsKey(needs);
  return key.length <= keyChars ? key : sha256Hex(key);
}
