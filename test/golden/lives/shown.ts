// Differences as a reader sees them.
import { nameOf, type Placed } from './alignment.ts';
import type { Difference } from './comparison.ts';

const maxChars = 600;
/** Of equal text before a difference. */
const contextChars = 80;

export function shown(difference: Difference): readonly string[] {
  switch (difference.kind) {
    case 'missing':
      return [`not done: ${placed(difference.original)}`];
    case 'extra':
      return [`done besides, as step ${difference.own.index} of this agent: ${said(difference.own)}`];
    case 'left':
      return [`left open: ${said(difference.own)}, step ${difference.own.index} of this agent`];
    case 'order':
      return [
        `in another order: ${placed(difference.first.original)}`,
        `  came before ${placed(difference.second.original)}, and not after it`,
      ];
    case 'field':
      return [
        `${difference.field} of ${placed(difference.original)}`,
        ...fromWhereTheyDiffer(difference.expected, difference.got),
      ];
    case 'outcome': {
      const { expected, got, returned } = difference;
      const message = returned.outcome?.message;
      return [
        `what the caller's ${returned.call} comes to (steps.${returned.index})`,
        `  expected ${expected}`,
        `  got      ${got}${message === undefined ? '' : ` (${message})`}`,
      ];
    }
  }
}

/** Of two long texts, what is before the first difference is the same. */
function fromWhereTheyDiffer(expected: unknown, got: unknown): readonly string[] {
  const [wanted, found] = [textOf(expected), textOf(got)];
  let same = 0;
  while (same < wanted.length && wanted[same] === found[same]) same += 1;
  const start = wanted.length > maxChars ? Math.max(0, same - contextChars) : 0;
  const from = (text: string) => `${start > 0 ? '… ' : ''}${shortened(text.slice(start))}`;
  return [`  expected ${from(wanted)}`, `  got      ${from(found)}`];
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent');
}

function placed(original: Placed): string {
  return `steps.${original.index}, ${said(original)}`;
}

function said({ step }: Placed): string {
  return `${nameOf(step)} ${shortened('frame' in step ? step.payload.trim() : step.args)}`;
}

function shortened(value: unknown): string {
  const text = textOf(value);
  return text.length <= maxChars ? text : `${text.slice(0, maxChars / 2)} … ${text.slice(-maxChars / 2)}`;
}
