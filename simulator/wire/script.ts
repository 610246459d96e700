// Scripted behaviour of a simulated node. A rule names a step and says what happens there instead of success. Each
// visit of a step follows the first rule that matches and is not used up: first its delay, then its stall, then its
// end.
import { z } from 'zod';
import { type Clock, delay } from '../../runtime/clock.ts';

/** The steps that rules apply to: calls of the agent, and stages of a guest's life. */
export const steps = [
  'facts',
  'stat',
  'read',
  'openFile',
  'copy',
  'delete',
  'grant',
  'grantVm',
  'revokeVm',
  'processorTopology',
  'enumerate',
  'create',
  'open',
  'start',
  'shutdown',
  'terminate',
  'modify',
  'properties',
  'hnsVersion',
  'listNetworks',
  'readNetwork',
  'listEndpoints',
  'readEndpoint',
  'createEndpoint',
  'modifyEndpoint',
  'deleteEndpoint',
  'entropy',
  'log',
  'bridge',
  'negotiate',
  'running',
  'guestModify',
  'guestDevice',
  'guestExec',
  'powerOff',
] as const;
export type Step = (typeof steps)[number];

/** Ways in which a guest ends by itself. */
export const guestEnds = ['powerOff', 'crash', 'panic'] as const;
export type GuestEnd = (typeof guestEnds)[number];

/** What happens to the connections of a guest whose VM is paused. */
export const connectionsOfPaused = ['stay', 'end'] as const;
export type ConnectionsOfPaused = (typeof connectionsOfPaused)[number];

const hresultNumber = z.union([
  z.int().min(0).max(0xffff_ffff),
  z
    .string()
    .regex(/^0x[0-9a-fA-F]{1,8}$/)
    .transform((text) => Number.parseInt(text, 16)),
]);

export const scriptRule = z.strictObject({
  at: z.enum(steps),
  /** A compute system id; absent = any. */
  system: z.string().optional(),
  /** A path, compared without regard to case; absent = any. */
  path: z.string().optional(),
  /** Number of visits that pass before the rule applies. */
  skip: z.int().min(0).default(0),
  times: z.union([z.int().min(1), z.literal('always')]).default(1),
  delayMilliseconds: z.int().min(0).max(3_600_000).optional(),
  /** Waits until the rule is released. */
  stall: z.boolean().optional(),
  fail: z.strictObject({ hresult: hresultNumber.optional(), message: z.string().optional() }).optional(),
  /** The guest ends this way. Only at steps of a guest. */
  guest: z.enum(guestEnds).optional(),
});
export type ScriptRule = z.infer<typeof scriptRule>;
export type ScriptRuleInput = z.input<typeof scriptRule>;

export interface Subject {
  readonly system?: string;
  readonly path?: string;
}

export interface Visit extends Subject {
  readonly step: Step;
}

export type Verdict =
  | { readonly kind: 'proceed' }
  | { readonly kind: 'fail'; readonly hresult: number | undefined; readonly message: string }
  | { readonly kind: 'guestEnds'; readonly how: GuestEnd };

/** Decides what happens at a step of the node or of a guest. */
export interface Visiting {
  /** Rejects only when the signal aborts the wait. */
  visit(step: Step, subject: Subject, signal?: AbortSignal): Promise<Verdict>;
}

/** How many visits are remembered. */
const rememberedVisits = 4096;

interface ActiveRule {
  readonly rule: ScriptRule;
  readonly released: PromiseWithResolvers<void>;
  seen: number;
  used: number;
}

export class Script implements Visiting {
  readonly #clock: Clock;
  readonly #rules = new Map<number, ActiveRule>();
  readonly #visits: Visit[] = [];
  #nextNumber = 1;

  constructor(clock: Clock, rules: readonly ScriptRule[]) {
    this.#clock = clock;
    for (const rule of rules) this.add(rule);
  }

  /** Returns the number for `release`. */
  add(rule: ScriptRule): number {
    const number = this.#nextNumber;
    this.#nextNumber += 1;
    this.#rules.set(number, { rule, released: Promise.withResolvers<void>(), seen: 0, used: 0 });
    return number;
  }

  /** Ends one rule, or all. Calls that wait because of it continue. */
  release(number?: number): void {
    const numbers = number === undefined ? [...this.#rules.keys()] : [number];
    for (const each of numbers) {
      this.#rules.get(each)?.released.resolve();
      this.#rules.delete(each);
    }
  }

  /** The latest visits, oldest first. */
  visits(): readonly Visit[] {
    return this.#visits;
  }

  /** Applies the rules to a step. */
  async visit(step: Step, subject: Subject, signal?: AbortSignal): Promise<Verdict> {
    this.#visits.push({ step, ...subject });
    if (this.#visits.length > rememberedVisits) this.#visits.shift();
    const active = this.#take(step, subject);
    if (active === undefined) return { kind: 'proceed' };
    const { rule, released } = active;
    if (rule.delayMilliseconds !== undefined) await delay(this.#clock, rule.delayMilliseconds, signal);
    if (rule.stall === true) await untilReleased(released.promise, signal);
    if (rule.fail !== undefined) return { kind: 'fail', hresult: rule.fail.hresult, message: failureText(rule, step) };
    return rule.guest === undefined ? { kind: 'proceed' } : { kind: 'guestEnds', how: rule.guest };
  }

  #take(step: Step, subject: Subject): ActiveRule | undefined {
    for (const active of this.#rules.values()) {
      if (!matches(active.rule, step, subject)) continue;
      active.seen += 1;
      const { skip, times } = active.rule;
      if (active.seen <= skip || (times !== 'always' && active.used >= times)) continue;
      active.used += 1;
      return active;
    }
    return undefined;
  }
}

function matches(rule: ScriptRule, step: Step, subject: Subject): boolean {
  const isSystem = rule.system === undefined || rule.system === subject.system;
  const isPath = rule.path === undefined || rule.path.toLowerCase() === subject.path?.toLowerCase();
  return rule.at === step && isSystem && isPath;
}

function failureText(rule: ScriptRule, step: Step): string {
  return rule.fail?.message ?? `scripted failure at ${step}`;
}

function untilReleased(released: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return released;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    void released.then(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
