// From `kubectl apply` to a running VM and back, on a real API server, with the programs as processes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generatedFiles } from '../../charts/generate.ts';
import { threeHosts } from '../../simulator/playground/system.ts';
import { emptyQueries, scrape, seriesOf, type Target } from '../support/charts/promql.ts';
import { TraceCollector } from '../support/operator/trace-collector.ts';
import { condition, isReady, isRunning, RunningSystem } from '../support/system/running-system.ts';

let running: RunningSystem;
let traces: TraceCollector;

beforeAll(async () => {
  traces = await TraceCollector.listen();
  running = await RunningSystem.start(threeHosts, async () => ({ operatorFlags: ['--traces-endpoint', traces.url] }));
}, 900_000);
afterAll(async () => {
  await running[Symbol.asyncDispose]();
  await traces[Symbol.asyncDispose]();
});

describe('kubectl', () => {
  it('apply makes a VM run, get shows it, describe shows its Events, delete leaves nothing', async () => {
    await running.apply('story', { nodeName: 'win-2022-a', memory: { sizeInMB: 512 } });
    await running.kubectl(['wait', '--for=condition=Ready', '--timeout=30s', 'luvm/story']);
    const columns = await running.kubectl(['get', 'luvm', 'story']);
    expect(columns).toMatch(/NAME\s+PHASE\s+READY\s+NODE\s+RESTARTS\s+AGE/);
    expect(columns).toMatch(/story\s+Running\s+True\s+win-2022-a\s+0/);
    await running.until('events', async () => {
      const story = await running.kubectl(['describe', 'luvm', 'story']);
      const events = story.slice(story.indexOf('Events:'));
      return /Normal\s+Started\s.*Scheduled: spec\.nodeName is win-2022-a\. Started: /.test(events);
    });
    const found = await running.get('story');
    expect(found?.status).toMatchObject({ observedGeneration: 1, memorySizeInMB: 512, restarts: 0 });
    expect(found?.status.guestLog?.head[0]).toContain('GCS started');
    await running.kubectl(['delete', 'luvm', 'story', '--timeout=30s']);
    expect(await running.stateOf('win-2022-a')).toEqual([]);
    using control = await disposable('win-2022-a');
    expect(await control.systems()).toEqual([]);
  });

  it('patch to Halted stops a VM, back to Always starts it again', async () => {
    await running.apply('switched');
    const first = await running.untilMachine('switched', 'runs', isRunning);
    await running.kubectl(['patch', 'luvm', 'switched', '--type=merge', '-p', '{"spec":{"runStrategy":"Halted"}}']);
    const halted = await running.untilMachine(
      'switched',
      'is halted',
      (now) => now.status.phase === 'Stopped' && isReady(now),
    );
    expect(condition(halted, 'Ready')?.reason).toBe('Halted');
    await running.kubectl(['patch', 'luvm', 'switched', '--type=merge', '-p', '{"spec":{"runStrategy":"Always"}}']);
    const again = await running.untilMachine(
      'switched',
      'runs again',
      (now) => isRunning(now) && now.status.restarts === 1,
    );
    expect(again.status.runtimeID).not.toBe(first.status.runtimeID);
    await running.kubectl(['delete', 'luvm', 'switched', '--timeout=30s']);
  });

  it('annotate restartedAt restarts a VM once', async () => {
    await running.apply('restarted');
    await running.untilMachine('restarted', 'runs', isRunning);
    await running.kubectl(['annotate', 'luvm', 'restarted', 'lcow.dev/restartedAt=2026-11-24T12:00:00Z']);
    await running.untilMachine('restarted', 'runs again', (now) => isRunning(now) && now.status.restarts === 1);
    await running.kubectl(['delete', 'luvm', 'restarted', '--timeout=30s']);
  });
});

describe('a collector of traces', () => {
  it('gets one tree for each boot', async () => {
    await running.apply('traced');
    await running.untilMachine('traced', 'runs', isRunning);
    const isOfBoot = ({ attributes }: { readonly attributes: readonly { readonly value: object }[] }) =>
      attributes.some(({ value }) => 'stringValue' in value && value.stringValue === 'traced');
    const boot = await running.until('the boot is told', async () => traces.spans.find(isOfBoot));
    expect(traces.spans.filter(isOfBoot)).toHaveLength(1);
    const parts = traces.spans.filter(({ parentSpanId }) => parentSpanId === boot.spanId).map(({ name }) => name);
    expect(parts).toEqual(expect.arrayContaining(['schedule', 'create', 'start', 'entropy', 'guest']));
    expect(new Set(traces.requests)).toEqual(new Set(['POST /v1/traces application/json']));
    await running.kubectl(['delete', 'luvm', 'traced', '--timeout=30s']);
  });
});

describe('the dashboards', () => {
  const dashboards = [...generatedFiles()].filter(([path]) => path.includes('/dashboards/'));

  it('find data for each of their queries in what Prometheus scrapes', async () => {
    await running.apply('measured');
    await running.untilMachine('measured', 'runs', isRunning);
    const inPod = { namespace: 'lcow-system', job: 'lcow' };
    const metrics = (port: number) => `http://127.0.0.1:${port}/metrics`;
    const operator = { url: metrics(running.system.healthPort), labels: { ...inPod, pod: 'lcow-operator-0' } };
    const agents = running.system.nodes.map(({ name, healthPort }): Target => {
      return { url: metrics(healthPort), labels: { ...inPod, pod: `lcow-agent-${name}`, node: name } };
    });
    const targets = [operator, ...agents];
    // The figures of a VM are in the scrape after the one that requests them.
    const first = await running.until('the VM is measured', async () => {
      const found = await scrape(targets);
      return [...found.keys()].some((name) => name.includes('_assigned_memory_bytes{')) && found;
    });
    const series = seriesOf([first, await scrape(targets)]);
    const node = [...first.keys()].map((name) => /name="measured".*node="(.*?)"/.exec(name)?.[1]).find(Boolean) ?? '';
    const queries = dashboards.flatMap(([, text]) =>
      [...text.matchAll(/"expr": (".*"),?$/gm)].map(([, expr = '""']) => String(JSON.parse(expr))),
    );
    const asked = queries.map((expr) =>
      expr.replaceAll('$release', 'lcow-system').replaceAll('$node', node).replaceAll('$__rate_interval', '2m'),
    );
    expect(asked.length).toBeGreaterThan(40);
    expect(await emptyQueries(series, asked)).toBe('');
    // The checker distinguishes a query without data from one with data.
    expect(await emptyQueries(series, ['sum(lcow_nothing)'])).toContain('lcow_nothing');
    await running.kubectl(['delete', 'luvm', 'measured', '--timeout=30s']);
  }, 900_000);
});

describe('bad input', () => {
  it('is refused with field and fix if the manifest alone shows the error', async () => {
    const manifest = {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name: 'refused' },
      spec: { boot: { kernelFile: '..\\kernel' } },
    };
    const { code, stderr } = await running.tryKubectl(['apply', '-f', '-'], JSON.stringify(manifest));
    expect(code).not.toBe(0);
    expect(stderr).toContain('spec.boot.kernelFile');
  });

  it('stalls the VM with the text of the original if only the host can find the error, and the VM can be deleted', async () => {
    await running.apply('stalled', { boot: { kernelFile: 'nothing' } });
    const stalled = await running.untilMachine(
      'stalled',
      'stalls',
      (now) => condition(now, 'Stalled')?.status === 'True',
    );
    expect(condition(stalled, 'Stalled')?.message).toBe("kernel: 'C:\\LinuxBootFiles\\nothing' not found");
    await running.kubectl(['delete', 'luvm', 'stalled', '--timeout=30s']);
  });
});

describe('programs that die', () => {
  it('kill -9 of an agent ends each VM as its run strategy says', async () => {
    const pinned = { nodeName: 'win-2025-a' };
    await running.apply('always', pinned);
    await running.apply('once', { ...pinned, runStrategy: 'Once' });
    await running.apply('outlives', { ...pinned, terminateOnAgentExit: false });
    const [always, , outlives] = await Promise.all(
      ['always', 'once', 'outlives'].map((name) => running.untilMachine(name, 'runs', isRunning)),
    );
    await running.system.node('win-2025-a').agent.kill();
    const again = await running.untilMachine(
      'always',
      'runs again',
      (now) => isRunning(now) && now.status.restarts === 1,
    );
    expect(again.status.runtimeID).not.toBe(always?.status.runtimeID);
    expect(again.status.lastExit?.type).toBe('AgentExit');
    const once = await running.untilMachine('once', 'has failed', (now) => now.status.phase === 'Failed');
    expect(condition(once, 'Ready')?.reason).toBe('AgentRestarted');
    const adopted = await running.untilMachine('outlives', 'still runs', isRunning);
    expect(adopted.status.runtimeID).toBe(outlives?.status.runtimeID);
    expect(adopted.status.startTime).toBe(outlives?.status.startTime);
    await running.kubectl(['delete', 'luvm', 'always', 'once', 'outlives', '--timeout=30s']);
    expect(await running.stateOf('win-2025-a')).toEqual([]);
  });

  it('killing the operator changes no VM', async () => {
    await running.apply('steady');
    const before = await running.untilMachine('steady', 'runs', isRunning);
    await running.system.operator.kill();
    await running.apply('newcomer');
    await running.untilMachine('newcomer', 'runs under the next operator', isRunning);
    const after = await running.get('steady');
    expect(after?.status).toMatchObject({
      runtimeID: before.status.runtimeID,
      startTime: before.status.startTime,
      restarts: 0,
    });
    await running.kubectl(['delete', 'luvm', 'steady', 'newcomer', '--timeout=30s']);
  });

  it('an API server that goes away and comes back loses nothing', async () => {
    await running.apply('patient', { nodeName: 'win-2022-a', runStrategy: 'Once' });
    const before = await running.untilMachine('patient', 'runs', isRunning);
    await running.controlPlane.apiServer.kill();
    using control = await disposable('win-2022-a');
    const id = `luvm-${before.metadata.uid}`;
    await control.endGuest(id, 'powerOff');
    await running.until('the VM has ended', async () => (await control.system(id)) === undefined);
    await running.controlPlane.apiServer.start();
    const after = await running.untilMachine('patient', 'has completed', (now) => now.status.phase === 'Stopped');
    expect(condition(after, 'Ready')).toMatchObject({ status: 'True', reason: 'Completed' });
    await running.apply('afterwards');
    await running.untilMachine('afterwards', 'runs', isRunning);
    await running.kubectl(['delete', 'luvm', 'patient', 'afterwards', '--timeout=30s']);
  }, 60_000);
});

async function disposable(node: string) {
  const control = await running.control(node);
  return Object.assign(control, { [Symbol.dispose]: () => void control.close() });
}
