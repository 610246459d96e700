// The last output of a guest that crashed, in the exit and in its log.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { GuestLogRecord } from '../../../agent/guest/log/record.ts';
import { guestLogEntry } from '../../../agent/guest-log/entry.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { type AgentCore, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { bootFolder, defaultHost, startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { unguestedAssignment, unguestedNode } from '../../support/agent/unguested-node.ts';
import { ComputeCoreDouble } from '../../support/doubles/computecore.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);
const crashed = { crashReport: 0x3, exited: 0x1 };
const ended = (core: AgentCore) => core.until(uid, 'ended', ({ lastExit }) => lastExit !== undefined);
const guestLog = (node: TestNode) => readFile(`${node.folder}/agent/vms/${uid}/guest.log`, 'utf8');

describe('a guest that panics', () => {
  it('reports the reason in the exit and in its log, as records with their own source', async () => {
    await using node = await startNode();
    const records: GuestLogRecord[] = [];
    const openGuestOutput = () => (told: readonly GuestLogRecord[]) => {
      records.push(...told);
    };
    await using core = await startCore(node, { guestLog: { openGuestOutput } });
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Once' }));
    await core.until(uid, 'running', isRunning);
    await node.control.endGuest(systemID, 'panic');
    const { lastExit } = await ended(core);
    expect(lastExit?.type).toBe('UnexpectedExit');
    expect(lastExit?.message).toContain('status 0xc0370106, GuestCrash');
    expect(lastExit?.message).toContain('Kernel panic - not syncing: simulated\nCPU: 0');
    await until('kept', async () => (await guestLog(node)).includes('error ---[ end Kernel panic ]--- source=crash'));
    const crash = records.filter(({ source }) => source === 'crash');
    expect(crash.map(({ level, message }) => ({ level, message }))).toContainEqual({
      level: 'error',
      message: 'Kernel panic - not syncing: simulated',
    });
    const entry = guestLogEntry(crash[0] ?? { level: 'info', message: '', fields: {} }, {
      namespace: 'a',
      name: 'b',
      uid,
    });
    expect(JSON.parse(entry)).toMatchObject({ source: 'crash', msg: 'Kernel panic - not syncing: simulated' });
    // Lines that the guest wrote itself can follow it.
    expect(core.observed(uid).guestLog.tail.some((line) => line.includes('source=crash'))).toBe(true);
  });

  it('reports the reason also while it boots', async () => {
    await using node = await startNode();
    await node.control.script({ at: 'bridge', guest: 'panic' });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment());
    const { lastExit } = await ended(core);
    expect(lastExit?.message).toContain('while it booted: Kernel panic');
  });

  it('reports no text of a confidential guest', async () => {
    const files = { ...defaultHost.files, [`${bootFolder}\\kernel.vmgs`]: 4096, [`${bootFolder}\\rootfs.vhd`]: 8192 };
    await using node = await startNode({ files, isolation: ['SNP'] });
    await using core = await startCore(node);
    const options = { SecurityPolicy: Buffer.from('package policy').toString('base64'), SecurityPolicyEnabled: true };
    await core.supervisor.assign(makeAssignment({ runStrategy: 'Once', options }));
    await core.until(uid, 'running', isRunning);
    await node.control.endGuest(systemID, 'panic');
    const observed = await ended(core);
    expect(observed.lastExit).toMatchObject({ type: 'UnexpectedExit' });
    expect(JSON.stringify(observed)).not.toContain('Kernel panic');
    expect(await guestLog(node).catch(() => '')).not.toContain('Kernel panic');
  });
});

describe('the text of a crash', () => {
  async function exitWith(act: (double: ComputeCoreDouble) => Promise<void>) {
    const double = await ComputeCoreDouble.load();
    await using node = await startNode();
    await using core = await startCore(unguestedNode(node, double));
    await core.supervisor.assign(unguestedAssignment({ runStrategy: 'Once' }));
    await core.until(uid, 'running', ({ phase }) => phase === 'Running');
    await act(double);
    const observed = await ended(core);
    double.reset();
    return observed;
  }

  it('can be long: the report has its last 1,024 characters, without control characters', async () => {
    const text = `begins${'x'.repeat(5_000)}\u001b[31m\nends`;
    const { lastExit, guestLog: log } = await exitWith(async (double) => {
      double.send(systemID, crashed.crashReport, JSON.stringify({ CrashLog: text }));
      double.send(
        systemID,
        crashed.exited,
        '{"Status":-1070137082,"ExitType":"UnexpectedExit","Attribution":[{"GuestCrash":{"CrashParameters":[1]}}]}',
      );
    });
    expect(lastExit?.message).toHaveLength(1024);
    expect(lastExit?.message.endsWith('x\\x1b[31m\nends')).toBe(true);
    expect(log.tail.concat(log.head).some((line) => line.includes('ends source=crash'))).toBe(true);
  });

  it('that comes with hidden members is kept, as the text that HCS attributes the crash to', async () => {
    const { lastExit } = await exitWith(async (double) => {
      double.send(
        systemID,
        crashed.exited,
        '{"Status":5,"ExitType":"UnexpectedExit","Attribution":[{"WorkerExit":{"ExitCode":7,"Type":"None"}},{"Odd":3}]}',
      );
    });
    expect(lastExit?.message).toContain('(status 0x5, WorkerExit ExitCode=7 Type=None, Odd)');
  });
});
