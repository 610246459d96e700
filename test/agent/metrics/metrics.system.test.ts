import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { fixedTimes } from '../../../agent/bounds/timeouts.ts';
import { AgentMetrics } from '../../../agent/metrics/metrics.ts';
import { type MeasuredMachine, UsageReader, usageAtOnce } from '../../../agent/metrics/usage.ts';
import type { SystemStatistics } from '../../../agent/node/backend.ts';
import { nodeFileSystem } from '../../../agent/storage/file-system.ts';
import { FileJournal } from '../../../agent/vm/journal.ts';
import { newRecord } from '../../../agent/vm/record.ts';
import { isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';
import { until } from '../../support/until.ts';

const program = fileURLToPath(new URL('../../../simulator/agent.ts', import.meta.url));
const machine = `namespace="default",name="vm",uid="${uid}"`;

/** The value of the only series with that name. */
function valueIn(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An agent process whose operator is away. */
async function startAgent(node: TestNode, healthPort: number, flags: readonly string[] = []) {
  const stateDir = join(node.folder, 'agent');
  await writeFile(join(node.folder, 'token'), 'token');
  const settings = [
    ...['--operator-url', 'ws://127.0.0.1:9/v1/agents', '--token-file', join(node.folder, 'token')],
    ...['--state-dir', stateDir, '--simulated-socket', node.socketPath],
    ...['--health-port', String(healthPort), '--log-level', 'fatal', ...flags],
  ];
  const child = spawn(process.execPath, [program, ...settings], { stdio: ['ignore', 'ignore', 'inherit'] });
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      if (child.exitCode === null) await new Promise((resolve) => child.once('exit', resolve));
    },
  };
}

describe('the metrics of an agent', () => {
  it('describe its VMs and the agent itself at each scrape', async () => {
    await using node = await startNode();
    const journal = new FileJournal(nodeFileSystem, join(node.folder, 'agent'));
    await journal.write({ ...newRecord(uid, randomUUID()), assignment: makeAssignment() });
    const torn = join(node.folder, 'agent', 'vms', randomUUID());
    await mkdir(torn);
    await writeFile(join(torn, 'vm.json'), '{"version":1,"checks');
    const port = await freePort();
    const network = await freePort();
    const flags = ['--metrics-port', String(network), '--metrics-anonymous'];
    await using _agent = await startAgent(node, port, flags);
    const scrape = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(response.headers.get('content-type')).toContain('text/plain; version=');
      return response.text();
    };
    await until('the agent is there', () => scrape().catch(() => undefined));
    const text = await until('the VM is measured', async () => {
      const found = await scrape().catch(() => '');
      return found.includes(`lcow_agent_virtual_machine_assigned_memory_bytes{${machine}}`) && found;
    });
    expect(valueIn(text, 'lcow_agent_virtual_machines{phase="Running"}')).toBe(1);
    expect(valueIn(text, `lcow_agent_virtual_machine_assigned_memory_bytes{${machine}}`)).toBe(2 ** 30);
    expect(valueIn(text, `lcow_agent_virtual_machine_cpu_seconds_total{${machine}}`)).toBeGreaterThan(0);
    expect(valueIn(text, `lcow_agent_virtual_machine_log_lines_dropped_total{${machine}}`)).toBe(0);
    expect(valueIn(text, 'lcow_agent_journal_quarantined_total')).toBe(1);
    expect(valueIn(text, 'lcow_agent_calls_draining')).toBe(0);
    const read = async (path: string) => (await fetch(`http://127.0.0.1:${network}${path}`)).text();
    expect(await read('/metrics')).toContain('\nlcow_agent_info{');
    expect(await read('/healthz')).toBe('');
    expect(valueIn(text, 'process_resident_memory_bytes')).toBeGreaterThan(2 ** 24);
  });

  it('count failed changes of running VMs, and forget VMs that are gone', async () => {
    await using node = await startNode();
    const metrics = new AgentMetrics('1', new FakeClock());
    await using core = await startCore(node, { tally: metrics.tally });
    metrics.watch(core.supervisor);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await core.supervisor.assign(makeAssignment({ options: { MemorySizeInMB: 100_000 }, generation: 2 }));
    const failed = 'lcow_agent_live_change_failures_total{reason="InsufficientResources"}';
    await until('the failure counts', async () => (valueIn((await metrics.scrape()).text, failed) ?? 0) > 0);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    expect((await metrics.scrape()).text).not.toContain(uid);
  });

  it('count failed calls to HNS by their reason', async () => {
    const metrics = new AgentMetrics('1', new FakeClock());
    expect((await metrics.scrape()).text).not.toContain('lcow_agent_hns_failures_total{');
    for (const reason of ['HNSUnavailable', 'HNSFailed', 'HNSUnavailable'] as const) metrics.tally.hnsFailed(reason);
    const { text } = await metrics.scrape();
    expect(valueIn(text, 'lcow_agent_hns_failures_total{reason="HNSUnavailable"}')).toBe(2);
    expect(valueIn(text, 'lcow_agent_hns_failures_total{reason="HNSFailed"}')).toBe(1);
  });
});

/** A VM that answers when the test tells it to. */
class SlowMachine implements MeasuredMachine {
  asked = 0;
  #answer = Promise.withResolvers<SystemStatistics | undefined>();

  statistics(): Promise<SystemStatistics | undefined> {
    this.asked += 1;
    return this.#answer.promise;
  }

  answer(statistics: SystemStatistics): void {
    this.#answer.resolve(statistics);
    this.#answer = Promise.withResolvers();
  }

  refuse(): void {
    this.#answer.reject(new Error('no'));
    this.#answer = Promise.withResolvers();
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('the property requests behind the metrics of VMs', () => {
  const usage = { processorSeconds: 1 };

  it('are sent to few VMs at once, to each at most once per interval, and shared by concurrent scrapes', async () => {
    const clock = new FakeClock();
    const reader = new UsageReader(clock);
    const machines = new Map(Array.from({ length: 20 }, (_, index) => [`vm-${index}`, new SlowMachine()]));
    const asked = () => [...machines.values()].reduce((sum, each) => sum + each.asked, 0);
    const reading = reader.read(machines);
    const other = reader.read(machines);
    await settle();
    expect(asked()).toBe(usageAtOnce);
    for (let round = 0; round < 3; round += 1) {
      for (const each of machines.values()) each.answer(usage);
      await settle();
    }
    expect((await reading).size).toBe(20);
    expect((await other).size).toBe(20);
    clock.advance(fixedTimes.metrics.usageFresh - 1);
    expect((await reader.read(machines)).size).toBe(20);
    expect(asked()).toBe(20);
  });

  it('do not delay a scrape, and are not repeated before their answer', async () => {
    const clock = new FakeClock();
    const reader = new UsageReader(clock);
    const hung = new SlowMachine();
    const machines = new Map([['hung', hung]]);
    for (let scrape = 0; scrape < 3; scrape += 1) {
      const reading = reader.read(machines);
      await settle();
      clock.advance(fixedTimes.metrics.usagePatience);
      expect((await reading).size).toBe(0);
    }
    expect(hung.asked).toBe(1);
    hung.answer(usage);
    await settle();
    expect(await reader.read(machines)).toEqual(new Map([['hung', usage]]));
  });

  it('are repeated after a second for a user who looks at one VM', async () => {
    const clock = new FakeClock();
    const reader = new UsageReader(clock);
    const machine = new SlowMachine();
    const read = async () => {
      const reading = reader.readOne('vm', machine);
      await settle();
      machine.answer(usage);
      return await reading;
    };
    expect(await read()).toEqual({ statistics: usage, at: clock.now() });
    clock.advance(fixedTimes.metrics.usageRecent - 1);
    await read();
    expect(machine.asked).toBe(1);
    clock.advance(1);
    await read();
    expect(machine.asked).toBe(2);
  });

  it('are counted when they are refused, and the VM is left out', async () => {
    const reader = new UsageReader(new FakeClock());
    const refusing = new SlowMachine();
    const reading = reader.read(new Map([['vm', refusing]]));
    await settle();
    refusing.refuse();
    expect((await reading).size).toBe(0);
    expect(reader.failures).toBe(1);
  });
});
