// What `kubectl luvm top` shows of VMs and hosts, from what their agents measured.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CommandPorts } from '../../kubectl/commands.ts';
import { mostMeasured } from '../../kubectl/top/readings.ts';
import { type TopOptions, top } from '../../kubectl/top/top.ts';
import { StandInApi } from '../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

const vm = (name: string, nodeName: string, phase = 'Running') => ({
  metadata: { namespace: 'ns', name },
  status: { phase, nodeName, restarts: 2, processorCount: 4, memorySizeInMB: 1_024 },
});
const host = {
  metadata: { name: 'node-a' },
  status: { logicalProcessors: 16, memoryInMB: 65_536, conditions: [{ type: 'Connected', status: 'True' }] },
};

let api: StandInApi;
let machines: readonly object[];
/** Processor seconds and lines of log that a VM uses each second. */
let rates: Readonly<Record<string, readonly [number, number]>>;
let asked: number;
let boot: () => number;

beforeAll(async () => {
  api = await StandInApi.start(({ path }) => {
    if (path.endsWith('/linuxutilityvmhosts')) return { body: { metadata: {}, items: [host] } };
    if (path.endsWith('/linuxutilityvms')) return { body: { metadata: {}, items: machines } };
    const name = /\/([^/]+)\/usage$/.exec(path)?.[1] ?? '';
    asked += 1;
    const rate = rates[name];
    if (rate === undefined) return { code: 403, body: { kind: 'Status', message: 'no right to usage' } };
    // Ten seconds pass from one question to the next.
    const seconds = asked <= machines.length ? 0 : 10;
    const log = { boot: boot(), lines: 100 + seconds * rate[1] };
    return {
      body: { time: 1_000 * seconds, processorSeconds: seconds * rate[0], assignedMemoryBytes: 512 << 20, log },
    };
  });
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  machines = [vm('calm', 'node-a'), vm('busy', 'node-a')];
  rates = { calm: [0.5, 0], busy: [3.25, 20] };
  asked = 0;
  boot = () => 1;
});

const usual: TopOptions = { names: [], allNamespaces: false, hosts: false, order: 'cpu', watch: false };
const run = (options: Partial<TopOptions> = {}, terminal = new StandInTerminal()) =>
  runAt(terminal, api.kubeconfig, (ports: CommandPorts) => top({ ...usual, ...options }, ports));

describe('top', () => {
  it('shows the rates between two readings, the largest first', async () => {
    expect((await run()).stdout).toBe(
      [
        'NAME   PHASE     NODE     CPU    OF   MEMORY(MB)   OF     LOG/S   RESTARTS',
        'busy   Running   node-a   3.25   4    512          1024   20.0    2',
        'calm   Running   node-a   0.50   4    512          1024   0.0     2',
        '',
      ].join('\n'),
    );
  });

  it('shows hosts with the sums over their VMs', async () => {
    expect((await run({ hosts: true })).stdout.split('\n')[1]).toBe(
      'node-a   True        2     3.75   16   1024         65536   20.0',
    );
  });

  it('shows what is not known as a dash, and says why, once', async () => {
    rates = { busy: [1, 1] };
    machines = [...machines, vm('stopped', 'node-a', 'Stopped'), vm('other', 'node-a')];
    const { stdout, stderr } = await run({ order: 'name' });
    expect(stdout.split('\n').map((line) => line.slice(0, 35))).toEqual([
      expect.stringContaining('NAME'),
      expect.stringMatching(/^busy .*Running/),
      expect.stringMatching(/^calm +Running +node-a +-/),
      expect.stringMatching(/^other +Running +node-a +-/),
      expect.stringMatching(/^stopped +Stopped +node-a +-/),
      '',
    ]);
    expect(stderr).toBe('no right to usage\n');
  });

  it('compares no readings of different runs', async () => {
    let answered = 0;
    boot = () => Math.floor(answered++ / 2);
    const items = JSON.parse((await run({ output: 'json' })).stdout).items;
    expect(items.map(({ busyProcessors }: { busyProcessors?: number }) => busyProcessors)).toEqual([
      undefined,
      undefined,
    ]);
    expect(items[0]).toMatchObject({ name: 'busy', usedMemoryInMB: 512 });
  });

  it('measures a bounded number of VMs', async () => {
    machines = Array.from({ length: mostMeasured + 5 }, (_, index) => vm(`vm-${index}`, 'node-a'));
    expect((await run()).stderr).toContain(`only ${mostMeasured} of ${mostMeasured + 5}`);
    expect(asked).toBe(2 * mostMeasured);
  });

  it('is shown again with --watch, within the height of a terminal, until Ctrl-C', async () => {
    machines = Array.from({ length: 40 }, (_, index) => vm(`vm-${index}`, 'node-a', 'Stopped'));
    const terminal = new StandInTerminal({ height: 10, width: 80 });
    const watching = run({ watch: true }, terminal);
    await terminal.until('a table', ({ stdout }) => stdout.includes('vm-1'));
    await terminal.interrupt();
    expect((await watching).code).toBe(0);
    expect(terminal.stdout.startsWith('\u001b[H\u001b[JNAME')).toBe(true);
    expect(terminal.lines).toHaveLength(9);
  });
});
