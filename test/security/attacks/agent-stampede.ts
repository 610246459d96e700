// A whole fleet of new agents dials at the same time. No agent is hostile, but an attacker can cause this by keeping
// the operator unreachable for a minute.
import { z } from 'zod';
import { ClusterApi } from '../../support/control-plane/cluster-api.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { type Admission, Fleet } from '../fleet.ts';

const leasePath = '/apis/coordination.k8s.io/v1/namespaces/default/leases/lcow-operator';
const lease = z.object({
  spec: z.object({ holderIdentity: z.string(), renewTime: z.string(), leaseTransitions: z.number().default(0) }),
});

const stampede =
  (agents: number, minutes: number) =>
  async (target: RunningSystem): Promise<Finding> => {
    await using fleet = await Fleet.create(target, 'stampede', agents);
    await using watcher = await LeaseWatcher.start(target);
    const signal = AbortSignal.timeout(minutes * 60_000);
    const settled = await Promise.allSettled(fleet.names.map((name) => fleet.join(name, signal)));
    const admissions = settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const problems = [
      ...(admissions.length === agents ? [] : [`${agents - admissions.length} were not admitted`]),
      ...(await watcher.problems()),
    ];
    const figure = [...problems, figureOf(admissions), `the Lease was ${watcher.oldest} ms old at most`].join('; ');
    return problems.length === 0 ? held(figure) : broken(figure);
  };

export const agentStampede: Attack = {
  name: 'agent-stampede',
  party: 'agent',
  promise: 'When 5,000 agents connect at once, the leader does not change, and every agent is accepted in the end.',
  short: false,
  run: stampede(5_000, 10),
};

export const smallStampede: Attack = {
  name: 'small-stampede',
  party: 'agent',
  promise: 'When 60 agents connect at once, the leader does not change, and every agent is accepted in the end.',
  short: true,
  run: stampede(60, 1),
};

function figureOf(admissions: readonly Admission[]): string {
  const seconds = admissions.map(({ milliseconds }) => milliseconds / 1_000).sort((a, b) => a - b);
  const [median, last] = [seconds[Math.floor(seconds.length / 2)] ?? 0, seconds.at(-1) ?? 0];
  const once = admissions.filter(({ dials }) => dials === 1).length;
  return `${admissions.length} agents were welcomed, half of them within ${median.toFixed(1)} s, the last after ${last.toFixed(1)} s, ${once} by their first dial`;
}

class LeaseWatcher implements AsyncDisposable {
  /** The longest time since the last renewal of the Lease, in milliseconds. */
  oldest = 0;
  readonly #api: ClusterApi;
  readonly #before: z.infer<typeof lease>['spec'];
  #timer: NodeJS.Timeout | undefined;

  private constructor(api: ClusterApi, before: z.infer<typeof lease>['spec']) {
    this.#api = api;
    this.#before = before;
    this.#timer = setInterval(() => void this.#look().catch(() => {}), 250);
  }

  static async start(target: RunningSystem): Promise<LeaseWatcher> {
    const api = new ClusterApi(target.controlPlane.kubeconfigPath, 'watcher');
    return new LeaseWatcher(api, lease.parse(await api.send('GET', leasePath)).spec);
  }

  async problems(): Promise<readonly string[]> {
    const { holderIdentity, leaseTransitions } = await this.#look();
    const same = holderIdentity === this.#before.holderIdentity && leaseTransitions === this.#before.leaseTransitions;
    return same ? [] : ['the leader changed'];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
  }

  async #look(): Promise<z.infer<typeof lease>['spec']> {
    const { spec } = lease.parse(await this.#api.send('GET', leasePath));
    this.oldest = Math.max(this.oldest, Date.now() - Date.parse(spec.renewTime));
    return spec;
  }
}
