// A namespace editor applies VMs that name files of the host, and the attack checks their status.
import { condition, type Machine, type RunningSystem } from '../support/system/running-system.ts';
import { broken, type Finding, held } from './attack.ts';

type Spec = Readonly<Record<string, unknown>>;

export interface Attempt {
  readonly what: string;
  readonly spec: Spec;
}

/** A host whose description has links and disks for these attacks. */
export const attackedHost = 'win-2025-a';

/** The promise holds if each VM gets `PathNotAllowed` and none runs. Deletes the VMs that it created. */
export async function attempt(target: RunningSystem, name: string, attempts: readonly Attempt[]): Promise<Finding> {
  const names = attempts.map((_, index) => `${name}-${index}`);
  const outcomes = await Promise.all(
    attempts.map(async ({ spec, what }, index) => {
      await target.apply(names[index] ?? name, { nodeName: attackedHost, ...spec });
      return { what, outcome: await outcomeOf(target, names[index] ?? name) };
    }),
  ).finally(() => target.kubectl(['delete', 'luvm', '--ignore-not-found', ...names]));
  const through = outcomes.filter(({ outcome }) => outcome !== 'PathNotAllowed');
  if (through.length === 0) return held(`${outcomes.length} of ${outcomes.length} stalled with PathNotAllowed`);
  return broken(through.map(({ outcome, what }) => `${what}: ${outcome}`).join('; '));
}

async function outcomeOf(target: RunningSystem, name: string): Promise<string> {
  const settled = await target.untilMachine(name, 'is judged', isJudged);
  return condition(settled, 'Stalled')?.reason ?? settled.status.phase ?? '';
}

function isJudged(found: Machine): boolean {
  return condition(found, 'Stalled')?.status === 'True' || condition(found, 'Ready')?.status === 'True';
}

export const disk = (path: string, readOnly: boolean): Spec => ({
  storage: { disks: [{ name: 'stolen', path, readOnly }] },
});

export const share = (path: string, readOnly: boolean): Spec => ({
  fileShares: { shares: [{ name: 'stolen', path, readOnly, guestPath: '/mnt/stolen' }] },
});
