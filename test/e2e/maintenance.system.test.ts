// What administrators do to Nodes: cordon, drain by taint, power off, replace; and a host without free resources.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { condition, isReady, isRunning, type Machine, RunningSystem } from '../support/system/running-system.ts';

let running: RunningSystem;
const node = 'win-2022-a';

beforeAll(async () => {
  running = await RunningSystem.start();
}, 900_000);
afterAll(() => running?.[Symbol.asyncDispose]());

afterEach(async () => {
  await running.kubectl(['delete', 'luvm', '--all', '--timeout=30s']);
  await running.kubectl(['uncordon', node]);
});

const taint = (effect: string) => running.kubectl(['taint', 'node', node, effect]);
const isDrained = (found: Machine) => condition(found, 'Ready')?.reason === 'HostDrained';
const readyReason = (found: Machine) => condition(found, 'Ready')?.reason;

/** Labels only the named nodes, and returns the part of a spec that selects them. */
async function label(...names: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  await running.kubectl(['label', 'node', '--all', 'pool-', '--overwrite']);
  await running.kubectl(['label', 'node', ...names, 'pool=maintained', '--overwrite']);
  return { nodeSelector: { pool: 'maintained' } };
}

describe('a Node', () => {
  it('that is cordoned gets no new VMs and keeps its VMs', async () => {
    const pooled = await label(node);
    await running.apply('kept', pooled);
    const before = await running.untilMachine('kept', 'runs', isRunning);
    await running.kubectl(['cordon', node]);
    await running.apply('waiting', pooled);
    const waiting = await running.untilMachine('waiting', 'waits', (now) => readyReason(now) === 'NoHostFits');
    expect(JSON.stringify(condition(waiting, 'Ready'))).toContain('1 node cordoned');
    await running.kubectl(['uncordon', node]);
    await running.untilMachine('waiting', 'runs', isRunning);
    expect((await running.get('kept'))?.status.runtimeID).toBe(before.status.runtimeID);
  });

  it('that is drained moves VMs to other hosts, halts pinned VMs until the taint is removed, and keeps VMs that tolerate it', async () => {
    const pooled = await label(node);
    const tolerations = [{ key: 'lcow.dev/drain', operator: 'Exists' }];
    await running.apply('moving', pooled);
    await running.apply('pinned', { nodeName: node });
    await running.apply('tolerant', { ...pooled, tolerations });
    const [, pinned, tolerant] = await Promise.all(
      ['moving', 'pinned', 'tolerant'].map((name) => running.untilMachine(name, 'runs', isRunning)),
    );
    await label(node, 'win-2025-a');
    await taint('lcow.dev/drain=:NoExecute');
    const moved = await running.untilMachine(
      'moving',
      'runs elsewhere',
      (now) => isRunning(now) && now.status.nodeName !== node,
    );
    expect(moved.status.nodeName).toBe('win-2025-a');
    const halted = await running.untilMachine(
      'pinned',
      'is halted',
      (now) => isDrained(now) && now.status.phase === 'Stopped',
    );
    expect(halted.status.nodeName).toBe(node);
    expect(condition(halted, 'Ready')).toMatchObject({
      message: `${node} is being drained by the taint lcow.dev/drain:NoExecute`,
    });
    expect((await running.get('tolerant'))?.status.runtimeID).toBe(tolerant?.status.runtimeID);
    expect(await running.stateOf(node)).toHaveLength(2);
    await taint('lcow.dev/drain-');
    const again = await running.untilMachine('pinned', 'runs again', isRunning);
    expect(again.status.runtimeID).not.toBe(pinned?.status.runtimeID);
  });

  it('with a NoExecute taint that VMs tolerate for a limited time moves them when that time is over', async () => {
    const pooled = await label(node);
    const tolerations = [{ key: 'upkeep', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 6 }];
    await running.apply('patient', { ...pooled, tolerations });
    const before = await running.untilMachine('patient', 'runs', isRunning);
    await label(node, 'win-2025-a');
    await taint('upkeep=now:NoExecute');
    const taintedAt = Date.now();
    await running.until('three seconds have passed', async () => Date.now() - taintedAt > 3_000);
    expect((await running.get('patient'))?.status.runtimeID).toBe(before.status.runtimeID);
    await running.untilMachine(
      'patient',
      'runs elsewhere',
      (now) => isRunning(now) && now.status.nodeName === 'win-2025-a',
    );
    expect(Date.now() - taintedAt).toBeGreaterThan(5_500);
    await taint('upkeep-');
  });

  it('that is unreachable for Kubernetes while its agent is connected keeps its VMs', async () => {
    await running.apply('unconcerned', { nodeName: node });
    const before = await running.untilMachine('unconcerned', 'runs', isRunning);
    await taint('node.kubernetes.io/unreachable=:NoExecute');
    await running.apply('sentinel', { nodeName: node });
    await running.untilMachine('sentinel', 'runs', isRunning);
    expect((await running.get('unconcerned'))?.status.runtimeID).toBe(before.status.runtimeID);
    await running.kubectl(['taint', 'node', node, 'node.kubernetes.io/unreachable:NoExecute-']).catch(() => undefined);
  });

  it('that is out of service loses its VMs once its agent is away for a minute, and not before', async () => {
    const pooled = await label(node);
    await running.apply('stranded', pooled);
    await running.untilMachine('stranded', 'runs', isRunning);
    await label(node, 'win-2025-a');
    await running.system.node(node).agent.stop('SIGKILL');
    const strandedAt = Date.now();
    await taint('node.kubernetes.io/out-of-service=nodeshutdown:NoExecute');
    const moved = await running.untilMachine(
      'stranded',
      'runs elsewhere',
      (now) => isRunning(now) && now.status.nodeName === 'win-2025-a',
      90_000,
    );
    expect(Date.now() - strandedAt).toBeGreaterThan(50_000);
    expect(moved.status.restarts).toBe(1);
    await running.kubectl(['taint', 'node', node, 'node.kubernetes.io/out-of-service-']);
    await running.system.node(node).agent.start();
    await running.until('the host has given it up', async () => (await running.stateOf(node)).length === 0);
    expect(isReady((await running.get('stranded')) ?? moved)).toBe(true);
  }, 150_000);
});

describe('a host without resources', () => {
  it('loses a VM that it could never create to another host, and keeps a VM that no other host can take', async () => {
    const control = await running.control(node);
    const rule = await control.script({ at: 'create', fail: { hresult: '0x8007000e' }, times: 'always' });
    const pooled = await label(node);
    await running.apply('unlucky', pooled);
    await running.untilMachine('unlucky', 'lacks resources', (now) => readyReason(now) === 'InsufficientResources');
    expect((await running.get('unlucky'))?.status.nodeName).toBe(node);
    await label(node, 'win-2025-a');
    const moved = await running.untilMachine('unlucky', 'runs elsewhere', isRunning);
    expect(moved.status.nodeName).toBe('win-2025-a');
    expect(await running.stateOf(node)).toEqual([]);
    await control.release(rule);
    control.close();
  }, 90_000);
});
