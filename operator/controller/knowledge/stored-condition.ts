// Reads conditions; ../status/conditions.ts writes them.
import type { Condition } from '../../../crds/object.ts';

export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}
