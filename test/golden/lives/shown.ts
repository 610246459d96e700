// Differences as a reader sees them.
import { nameOf, type Placed } from './alignment.ts';
import type { Difference } from './comparison.ts';

const maxChars = 600;

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
        `  expected ${shortened(difference.expected)}`,
        `  got      ${shortened(difference.got)}`,
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

function placed(original: Placed): string {
  return `steps.${original.index}, ${said(original)}`;
}

function said({ step }: Placed): string {
  return `${nameOf(step)} ${shortened('frame' in step ? step.payload.trim() : step.args)}`;
}

function shortened(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'absent');
  return text.length <= maxChars ? text : `${text.slice(0, maxChars / 2)} … ${text.slice(-maxChars / 2)}`;
}
