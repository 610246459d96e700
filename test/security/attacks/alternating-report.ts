// The agent of one node, or someone who stole its token, alternates the readiness of its VM as fast as the operator
// reads.
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { observedMachine, type ScriptedAgent, someHost } from '../../support/operator/scripted-agent.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { StandIn } from '../stand-in.ts';
import { runs, sharedHost, Tenant } from '../tenant.ts';

const name = 'alternating-report';
const milliseconds = 12_000;
const reportsAtOnce = 21;
/** Messages beyond 2,000 a second wait, which would delay the end of this attack. */
const pauseMilliseconds = 14;
/** Status writes at once and per second, and Events at once: docs/specification.md. */
const promised = { writes: 5 + 1 + milliseconds / 1_000, events: 25 };

const events = z.object({ items: z.array(z.object({ count: z.number().nullish() })) });

async function attack(target: RunningSystem): Promise<Finding> {
  await using standIn = await StandIn.of(target, sharedHost);
  await using tenant = await Tenant.create(target, name);
  const { agent } = standIn;
  await standIn.dial();
  agent.hello(someHost);
  await tenant.apply(name, {});
  await tenant.until(name, 'runs', runs);
  const uid = [...agent.machines.keys()].at(-1) ?? '';
  const before = await eventsOf(target, tenant);
  const [versions, reports] = await Promise.all([versionsDuring(target, tenant), report(agent, uid)]);
  const written = (await eventsOf(target, tenant)) - before;
  const figure = `${reports} reports within ${milliseconds / 1000} s: ${versions} writes, ${written} Events`;
  if (versions === 0) return broken(`${figure}; nothing of them is shown`);
  return versions <= promised.writes && written <= promised.events ? held(figure) : broken(figure);
}

/** Each report differs from the previous one, including those that stay the latest for some milliseconds. */
async function report(agent: ScriptedAgent, uid: string): Promise<number> {
  const end = performance.now() + milliseconds;
  let reports = 0;
  while (performance.now() < end) {
    for (let sent = 0; sent < reportsAtOnce; sent += 1, reports += 1) {
      agent.observe(reports % 2 === 0 ? failed(uid, reports) : ready(uid));
    }
    await sleep(pauseMilliseconds);
  }
  return reports;
}

/** How often the VM was written. */
async function versionsDuring(target: RunningSystem, tenant: Tenant): Promise<number> {
  const format = 'jsonpath={.metadata.resourceVersion}{"\\n"}';
  const during = `--request-timeout=${milliseconds / 1000 + 1}s`;
  const { stdout } = await target.tryKubectl(['get', 'luvm', name, '-n', tenant.namespace, '-w', '-o', format, during]);
  return new Set(stdout.split('\n').filter((line) => line !== '')).size - 1;
}

const ready = (uid: string) => observedMachine(uid, { generation: 1 });
const failed = (uid: string, attempt: number) =>
  observedMachine(uid, {
    generation: 1,
    phase: 'Failed',
    restarts: attempt,
    conditions: [{ type: 'Ready', status: 'False', reason: 'CreateFailed', message: `attempt ${attempt}` }],
  });

/** How often each Event was recorded, including repeats that one object counts. */
async function eventsOf(target: RunningSystem, tenant: Tenant): Promise<number> {
  const { items } = events.parse(
    JSON.parse(await target.kubectl(['get', 'events', '-n', tenant.namespace, '-o', 'json'])),
  );
  return items.reduce((sum, { count }) => sum + (count ?? 1), 0);
}

export const alternatingReport: Attack = {
  name,
  party: 'agent',
  promise: 'However often the report about one VM changes, its status is written once a second, with few Events.',
  // The flood takes twelve seconds.
  short: false,
  run: attack,
};
