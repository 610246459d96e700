// The merge patch that `kubectl apply` makes for a custom resource: from what was applied last, what is to be applied, and
// what is there.
import { sameJson } from '../../runtime/same-json.ts';

type Members = Readonly<Record<string, unknown>>;

export function threeWayPatch(applied: Members, wanted: Members, present: Members): Members {
  const removed = Object.keys(applied).filter((name) => !(name in wanted) && name in present);
  const changed = Object.entries(wanted).flatMap(([name, value]): [string, unknown][] => {
    const below = present[name];
    if (!isMembers(value) || !isMembers(below)) return sameJson(value, below) ? [] : [[name, value]];
    const former = applied[name];
    const inner = threeWayPatch(isMembers(former) ? former : {}, value, below);
    return Object.keys(inner).length === 0 ? [] : [[name, inner]];
  });
  return Object.fromEntries([...removed.map((name) => [name, null]), ...changed]);
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
