// Kills the process of an agent on computecore.dll at its calls, and proves that the next agent reaches the same end
// state as one that was never killed, with nothing left over on the node or in the native library. A normal run takes a
// sample of the points; `npm run test:crash-points` takes all.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { type AgentCore, type CoreOptions, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { Outside } from '../../support/agent/crash-points.ts';
import { crashSeed, randomFrom, sampleOf, takesAll } from '../../support/agent/crash-sample.ts';
import { type Essence, essence, host, possessions, unjournaled } from '../../support/agent/crash-scenarios.ts';
import {
  type CrashAgentOrder,
  course,
  courses,
  type ProcessCrashPoint,
  pointsOf,
  releases,
  show,
} from '../../support/agent/process-crash-points.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { buildDouble } from '../../support/doubles/build.ts';
import { nothingLeft } from '../../support/doubles/computecore.ts';
import { ComputeCoreService } from '../../support/doubles/computecore-service.ts';
import { until } from '../../support/until.ts';

const program = fileURLToPath(new URL('../../support/agent/crash-agent.ts', import.meta.url));
/** When the agent is killed. A sample has one point of each moment, each in another course. */
const moments = ['before', 'after', 'sent', 'answered'] as const;
const patience = 60_000;

/** An agent in this process, on the native library. */
async function startNative(
  node: TestNode,
  options: CoreOptions = {},
): Promise<{ core: AgentCore; counts: () => unknown }> {
  const service = await ComputeCoreService.connect(node.socketPath, node.socketDirectory);
  const connect = async () => {
    const connection = await node.connect();
    const backend = service.backend();
    return { ...connection, backend, close: () => backend.close() };
  };
  const core = await startCore({ folder: node.folder, connect }, options);
  return {
    core,
    counts() {
      service.reset();
      return service.counts();
    },
  };
}

/** Resolves when the agent is dead: at the point or, if it never reached it, at the end of its course. */
async function killedAgent(order: CrashAgentOrder): Promise<void> {
  const agent = spawn(process.execPath, [program, JSON.stringify(order)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(agent, 'exit');
  const timer = setTimeout(() => agent.kill('SIGABRT'), patience);
  agent.stdout.once('data', () => agent.kill('SIGKILL'));
  const [, signal] = await ended;
  clearTimeout(timer);
  if (signal !== 'SIGKILL') throw new Error(`${show(order.point)}: the agent ended with ${signal ?? 'an exit code'}`);
}

interface Outcome {
  readonly essence: Essence | undefined;
  /** What existed on the node when the agent died, and was not in its journal. */
  readonly unknown: readonly string[];
  readonly left: readonly string[];
  /** The open objects in the native library of the second agent. */
  readonly counts: unknown;
}

/** Returns what exists on the node and is not in its journal. */
async function die(node: TestNode, order: Pick<CrashAgentOrder, 'scenario' | 'point' | 'journalIsLate'>) {
  const { folder, socketDirectory, socketPath } = node;
  await killedAgent({ folder, socketDirectory, socketPath, ...order });
  return await unjournaled(node);
}

async function dieAndRecover(name: string, point: ProcessCrashPoint): Promise<Outcome> {
  await using node = await startNode(host);
  const unknown = await die(node, { scenario: name, point });
  await until('run-down', async () => (await node.control.systems()).every(({ handles }) => handles === 0));
  const { core: second, counts } = await startNative(node);
  const { scenario } = course(name);
  let reached: Essence | undefined;
  if (scenario !== undefined) {
    await second.supervisor.assign(scenario.assignments.at(-1) ?? makeAssignment());
    reached = await essence(await second.until(uid, 'there', scenario.isThere), node);
  }
  second.supervisor.release(uid);
  await until('removed', () => second.removed.has(uid));
  const left = [...(await possessions(node)), ...(await readdir(`${node.folder}/agent/vms`))];
  await second.kill();
  return { essence: reached, unknown, left, counts: counts() };
}

async function undisturbed(name: string): Promise<{ calls: readonly string[]; essence: Essence | undefined }> {
  await using node = await startNode(host);
  const outside = new Outside(undefined);
  const { core } = await startNative(node, { outside });
  await course(name).play(core);
  const calls = [...outside.calls];
  const reached = name === releases ? undefined : await essence(core.observed(uid), node);
  await core.kill();
  return { calls, essence: reached };
}

describe('an agent on computecore.dll whose process is killed', () => {
  beforeAll(async () => {
    await buildDouble('computecore-client');
  });

  it.each(courses)(
    '%s',
    async (name) => {
      const { calls, essence: expected } = await undisturbed(name);
      const points = pointsOf(calls);
      expect(points.length).toBeGreaterThan(30);
      const random = randomFrom(crashSeed + courses.indexOf(name));
      const moment = moments[(crashSeed + courses.indexOf(name)) % moments.length];
      const ofMoment = points.filter(({ when }) => when === moment);
      const taken = takesAll ? points : sampleOf(ofMoment, 1, random);
      expect(taken).not.toEqual([]);
      for (const point of taken) {
        const outcome = await dieAndRecover(name, point);
        expect(outcome, `${show(point)}, seed ${crashSeed}`).toEqual({
          essence: expected,
          unknown: [],
          left: [],
          counts: nothingLeft,
        });
      }
      process.stdout.write(`process crash points · ${name}: ${taken.length} of ${points.length}, seed ${crashSeed}\n`);
    },
    1_800_000,
  );

  it('would fail this test if it wrote its journal after the effect', async () => {
    await using node = await startNode(host);
    const point = { method: 'grantVmAccess', number: 1, when: 'answered' } as const;
    expect(await die(node, { scenario: 'a VM with a disk', point, journalIsLate: true })).not.toEqual([]);
  });
});
