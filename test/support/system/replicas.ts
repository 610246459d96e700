// Which replica of the operator leads, by its own metrics.
import type { OperatorReplica } from '../../../simulator/playground/system.ts';
import type { RunningSystem } from './running-system.ts';

export interface Roles {
  readonly leader: OperatorReplica;
  readonly standby: OperatorReplica;
}

/** Undefined while the replica does not answer. */
export async function metricOf(replica: OperatorReplica, name: string): Promise<string | undefined> {
  const answer = await fetch(`http://127.0.0.1:${replica.healthPort}/metrics`, { signal: AbortSignal.timeout(1_000) })
    .then((response) => response.text())
    .catch(() => '');
  return new RegExp(`^${name} (\\S+)$`, 'm').exec(answer)?.[1];
}

export async function leads(replica: OperatorReplica): Promise<boolean> {
  return (await metricOf(replica, 'lcow_leader')) === '1';
}

/** Of two replicas. Waits until one of them leads and the other one answers that it does not. */
export async function rolesOf(running: RunningSystem): Promise<Roles> {
  const [first, second] = running.system.replicas;
  if (second === undefined) throw new Error('two replicas');
  return await running.until('one replica leads and one stands by', async () => {
    const [one, other] = [await metricOf(first, 'lcow_leader'), await metricOf(second, 'lcow_leader')];
    if (one === '1' && other === '0') return { leader: first, standby: second };
    return one === '0' && other === '1' ? { leader: second, standby: first } : undefined;
  });
}
