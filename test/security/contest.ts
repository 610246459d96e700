// One team uses a resource of a host exclusively. VMs of another team ask for the same resource under every possible
// name.
import type { RunningSystem } from '../support/system/running-system.ts';
import { broken, type Finding, held } from './attack.ts';
import { isHeldBy, readyOf, runs, Tenant } from './tenant.ts';

type Spec = Readonly<Record<string, unknown>>;

export interface Contest {
  /** The name of the attack. The teams are named after it. */
  readonly name: string;
  readonly owned: Spec;
  readonly wanted: readonly Spec[];
  /** The reason that the waiting VMs must show. */
  readonly reason: string;
}

export async function contest(target: RunningSystem, { name, owned, reason, wanted }: Contest): Promise<Finding> {
  await using victim = await Tenant.create(target, `${name}-victim`);
  await using attacker = await Tenant.create(target, `${name}-attacker`);
  await victim.apply('secret-name', owned);
  const before = await victim.until('secret-name', 'runs', runs);
  const accepted: string[] = [];
  for (const [index, spec] of wanted.entries()) {
    if (await attacker.apply(`vm-${index}`, spec)) accepted.push(`vm-${index}`);
  }
  const isHeldUp = isHeldBy(reason, 'PathNotAllowed');
  for (const each of accepted)
    await attacker.until(each, `is held up or runs`, (found) => isHeldUp(found) || runs(found));
  const during = await victim.get('secret-name');
  // During this restart another VM could take the resource.
  await victim.restart('secret-name');
  const after = await victim.until(
    'secret-name',
    'runs again',
    (found) => runs(found) && found.status.runtimeID !== before.status.runtimeID,
  );
  const attackers = await Promise.all(accepted.map((each) => attacker.get(each)));
  const leak = JSON.stringify(attackers).includes('secret-name');
  const waiting = attackers.filter(isHeldBy(reason));
  const isWithstood =
    accepted.length > 0 &&
    waiting.length > 0 &&
    attackers.every((found) => isHeldUp(found) && !runs(found)) &&
    waiting.every(({ status }) => status.startFailure === undefined && status.systemID === undefined) &&
    during.status.runtimeID === before.status.runtimeID &&
    runs(after) &&
    !leak;
  // A VM that waits properly gets the resource in the end.
  await victim.delete('secret-name');
  const first = accepted[attackers.findIndex(isHeldBy(reason))];
  if (first !== undefined) await attacker.until(first, 'runs once it is free', runs);
  const figure = `${wanted.length} spellings: ${wanted.length - accepted.length} refused by the API server, ${attackers.map((found) => readyOf(found)?.reason).join(', ')}; the first in the queue ran once it was free`;
  return isWithstood ? held(figure) : broken(`${figure}${leak ? '; the name of the other VM was told' : ''}`);
}
