// The ordinals of a set's VMs, and the names made from them (design §13).
import { type LinuxUtilityVMSetSpec, maxOrdinal } from '../crds/linux-utility-vm-set.ts';

export type WantedOrdinals =
  | { readonly ok: true; readonly ordinals: readonly number[] }
  | { readonly ok: false; readonly message: string };

interface Range {
  readonly first: number;
  readonly last: number;
}

/** The lowest `replicas` ordinals that are not reserved, in ascending order. */
export function wantedOrdinals({
  replicas,
  ordinals,
}: Pick<LinuxUtilityVMSetSpec, 'replicas' | 'ordinals'>): WantedOrdinals {
  const reserved = (ordinals.reserved ?? []).map(rangeOf).sort((a, b) => a.first - b.first);
  const backwards = reserved.find(({ first, last }) => first > last);
  if (backwards !== undefined) {
    const { first, last } = backwards;
    return { ok: false, message: `spec.ordinals.reserved: ${first}-${last} runs backwards: write ${last}-${first}` };
  }
  const wanted: number[] = [];
  let next = ordinals.start;
  for (const { first, last } of [...reserved, { first: Number.POSITIVE_INFINITY, last: Number.POSITIVE_INFINITY }]) {
    while (next < first && wanted.length < replicas) wanted.push(next++);
    if (wanted.length === replicas) break;
    next = Math.max(next, last + 1);
  }
  if ((wanted.at(-1) ?? 0) <= maxOrdinal) return { ok: true, ordinals: wanted };
  const message = `spec.ordinals leaves too few ordinals up to ${maxOrdinal} for ${replicas} VMs: reserve fewer`;
  return { ok: false, message };
}

function rangeOf(entry: number | string): Range {
  if (typeof entry === 'number') return { first: entry, last: entry };
  const [first = '', last = first] = entry.split('-');
  return { first: Number(first), last: Number(last) };
}

export function machineName(set: string, ordinal: number): string {
  return `${set}-${ordinal}`;
}

/** Undefined for a name that no VM of the set can have. */
export function ordinalOf(set: string, name: string): number | undefined {
  if (!name.startsWith(`${set}-`)) return undefined;
  const digits = name.slice(set.length + 1);
  return /^(0|[1-9][0-9]{0,4})$/.test(digits) ? Number(digits) : undefined;
}
