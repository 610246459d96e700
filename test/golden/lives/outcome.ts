// What a call of the caller came to.
import { GuestRefusal } from '../../../agent/guest/bridge/errors.ts';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import type { LifeAgent } from './life-agent.ts';
import { hexOf } from './operations.ts';

/** Undefined: it has not come back yet. */
export type Pending = () => Outcome | undefined;

export interface Outcome {
  readonly ok: boolean;
  /** Where there is one; that of a Win32 error without its facility, as the original hands it on. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  readonly got?: Readonly<Record<string, unknown>> | undefined;
}

/** Gives what came of it once it has come back. */
export function outcomeOf(run: () => Promise<Outcome>): Pending {
  let outcome: Outcome | undefined;
  // Some of what the caller says is looked at before anything is asked for.
  const running = Promise.resolve().then(run);
  running.then(
    (result) => {
      outcome = result;
    },
    (error: unknown) => {
      outcome = refusal(error);
    },
  );
  return () => outcome;
}

/** The same for what has nothing to say but that it was done. */
export function doneOnce(run: () => Promise<unknown>): Pending {
  return outcomeOf(async () => {
    await run();
    return { ok: true };
  });
}

/** Why the VM is not as it is wanted. */
export function troubleOf(agent: LifeAgent): Outcome {
  const ready = agent.observe()?.conditions.find(({ type }) => type === 'Ready');
  return refusal(`${ready?.reason}: ${ready?.message}`);
}

/** Of an error, or of a message that has a code in it. */
export function refusal(error: unknown): Outcome {
  const message = error instanceof Error ? error.message : String(error);
  const code = codeIn(error);
  return { ok: false, code: code === undefined ? codeOf(message) : codeOf(hexOf(code)), message };
}

function codeIn(error: unknown): number | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof HcsError || cause instanceof GuestRefusal) return cause.hresult;
  }
  return undefined;
}

/** The failure that a text names, if it names one. */
export function codeOf(text: string): string | undefined {
  const [found] = /0x[0-9a-f]{8}/.exec(text) ?? [];
  if (found === undefined || Number(found) < 0x8000_0000) return undefined;
  return found.startsWith('0x8007') ? `0x0000${found.slice(-4)}` : found;
}
