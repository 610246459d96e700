// One judgement for all VMs with equal needs that fit nowhere (docs/design.md §10, Fairness): with 500 hosts a judgement
// takes a fifth of a millisecond or more, and thousands of VMs may wait. Room that others take leaves a refusal true; it is
// judged again once room may have come up. Who fits somewhere is judged anew each time, since the next one may not.
import { sha256Hex } from '../../../protocol/digest.ts';
import { needsKey, type Placement, type PlacementNeeds } from './placement.ts';

const remembered = 2_000;
/** What is longer is remembered by its digest: tolerations and selectors are texts of users. */
const keyChars = 256;

export class Judgements {
  readonly #place: (needs: PlacementNeeds) => Placement;
  readonly #refusals = new Map<string, Placement>();

  constructor(place: (needs: PlacementNeeds) => Placement) {
    this.#place = place;
  }

  of(needs: PlacementNeeds): Placement {
    const key = keyOf(needs);
    const refusal = this.#refusals.get(key);
    if (refusal !== undefined) return refusal;
    const placement = this.#place(needs);
    if (!placement.placed) this.#remember(key, placement);
    return placement;
  }

  /** A host came, has less, or may take what it did not. */
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
