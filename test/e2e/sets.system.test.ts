// A set in a whole system, with agents as processes.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { apiVersion, revisionLabel, setLabel } from '../../crds/names.ts';
import { RunningSystem } from '../support/system/running-system.ts';

let running: RunningSystem;

beforeAll(async () => {
  running = await RunningSystem.start();
}, 900_000);
afterAll(() => running?.[Symbol.asyncDispose]());

const listed = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()) }),
      status: z.object({
        nodeName: z.string().optional(),
        runtimeID: z.string().optional(),
        conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      }),
    }),
  ),
});

async function members(set: string) {
  const text = await running.kubectl(['get', 'luvm', `--selector=${setLabel}=${set}`, '--output=json']);
  return listed.parse(JSON.parse(text)).items.map(({ metadata, status }) => ({
    name: metadata.name,
    revision: metadata.labels[revisionLabel] ?? '',
    nodeName: status.nodeName,
    runtimeID: status.runtimeID,
    isReady: status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True'),
  }));
}
type Member = Awaited<ReturnType<typeof members>>[number];

async function apply(set: string, spec: object): Promise<void> {
  const manifest = { apiVersion, kind: 'LinuxUtilityVMSet', metadata: { name: set }, spec };
  await running.kubectl(['apply', '--server-side', '--filename=-'], JSON.stringify(manifest));
}

const untilMembers = (set: string, what: string, holds: (found: readonly Member[]) => boolean) =>
  running.until(`${set}: ${what}`, async () => {
    const found = await members(set);
    return holds(found) ? found : undefined;
  });

it('a canary that is stuck does not spread its revision, though all agents restart in turn', async () => {
  const [replicas, maxUnavailable] = [6, 2];
  const good = { spec: { replicas, maxUnavailable, template: { spec: { memory: { sizeInMB: 256 } } } } };
  const areReady = (found: readonly Member[], count: number) => found.filter(({ isReady }) => isReady).length === count;
  await apply('canary', good.spec);
  const before = await untilMembers('canary', 'all are ready', (found) => areReady(found, replicas));
  const [goodRevision] = before.map(({ revision }) => revision);
  expect(new Set(before.map(({ nodeName }) => nodeName)).size).toBe(3);

  const boot = { kernelFile: 'vmlinux-that-nobody-has' };
  await apply('canary', { ...good.spec, template: { spec: { ...good.spec.template.spec, boot } } });
  const haveBad = (found: readonly Member[]) => found.filter(({ revision }) => revision !== goodRevision);
  const isStuck = (found: readonly Member[]) => {
    expect(haveBad(found).length).toBeLessThanOrEqual(maxUnavailable);
    return haveBad(found).length === maxUnavailable && areReady(found, replicas - maxUnavailable);
  };
  let stuck = await untilMembers('canary', 'as many as may be unavailable are stuck', isStuck);

  for (const { name, agent } of running.system.nodes) {
    await agent.kill();
    const ranThere = stuck.filter(({ nodeName, isReady }) => isReady && nodeName === name);
    const haveRestarted = (found: readonly Member[]) =>
      ranThere.every((each) => found.some((now) => now.name === each.name && now.runtimeID !== each.runtimeID));
    // The VMs of an agent end with it.
    stuck = await untilMembers('canary', `runs again on ${name}`, (found) => isStuck(found) && haveRestarted(found));
  }

  await apply('canary', good.spec);
  const mended = await untilMembers(
    'canary',
    'is as before',
    (found) => areReady(found, replicas) && haveBad(found).length === 0,
  );
  const untouched = stuck.filter(({ isReady }) => isReady);
  for (const { name, runtimeID } of untouched)
    expect(mended).toContainEqual(expect.objectContaining({ name, runtimeID }));
});
