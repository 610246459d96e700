// What the operator stores of agents' reports: bounded in bytes, and without terminal control characters.
import { describe, expect, it } from 'vitest';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Reports } from '../../../operator/controller/knowledge/reports.ts';
import { nextStatus } from '../../../operator/controller/status/status.ts';
import { boundedFacts } from '../../../protocol/bounded-facts.ts';
import { agentMessage, limits, parseObserved } from '../../../protocol/messages.ts';
import { networkLimits } from '../../../protocol/network-facts.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine, someHost } from '../../support/operator/scripted-agent.ts';

const uidOf = (index: number) => `6a3f2c1e-0b7d-4c55-9a51-${String(index).padStart(12, '0')}`;
const lines = (count: number, line: string) => Array.from({ length: count }, () => line);
const longestLog = { head: lines(5, '語'.repeat(256)), tail: lines(15, '語'.repeat(256)), total: 20, dropped: 0 };
const device = (index: number) => ({ controller: 0, lun: index, path: `C:\\${'x'.repeat(1_000)}` });
const manyDevices = { vpmem: [], scsi: Array.from({ length: 60 }, (_, index) => device(index)), assigned: [] };

describe('a report', () => {
  it('is stored without unknown members', () => {
    const { observed, bytes } = readReport({ ...observedMachine(someUid), unknown: 'x'.repeat(500_000) });
    expect(observed).not.toHaveProperty('unknown');
    expect(bytes).toBeLessThan(2_000);
  });

  it('that is larger than an element can be is refused, and its VM still counts as present', () => {
    const large = observedMachine(someUid, { guestLog: longestLog, devices: manyDevices });
    const reports = new Reports(() => limits.reportsBytes);
    reports.take(readReport(observedMachine(someUid)));
    const kept = reports.take(readReport(large));
    expect(kept.failure).toMatchObject({ reason: 'ProtocolError' });
    expect(kept.observed?.devices).toBeUndefined();
    expect(reports.byUid.has(someUid)).toBe(true);
  });

  it("with too long a list is refused before the list's items are checked", () => {
    const items = Array.from({ length: 20_000 }, () => ({}));
    const parsed = parseObserved({
      ...observedMachine(someUid),
      devices: { vpmem: items, scsi: items, assigned: items },
    });
    if (parsed.ok) throw new Error('it was read');
    expect(parsed.failure.message.match(/devices/g)).toHaveLength(3);
    const hello = { ...someHello, virtualMachines: items };
    expect(agentMessage.safeParse(hello).error?.issues).toHaveLength(1);
  });

  it('has no terminal control characters, and stays within the bounds of stored text', () => {
    const text = '\u001b]0;title\u0007\u202e\ud800';
    const parsed = parseObserved({
      ...observedMachine(someUid, { systemID: text, warnings: [text.repeat(42)] }),
      conditions: [{ type: 'Ready', status: 'False', reason: 'Failed', message: text }],
      guest: { osType: text, protocolVersion: 4, capabilities: [text] },
      devices: { vpmem: [{ slot: 0, path: text }], scsi: [], assigned: [{ instanceID: text, vmbusID: text }] },
      guestLog: { head: [text], tail: [text], total: 2, dropped: 0 },
    });
    if (!parsed.ok) throw new Error(parsed.failure.message);
    expect(JSON.stringify(parsed.value)).not.toMatch(/(?<!\\)\\u|\u202e/);
    expect(parsed.value.systemID).toBe('\\x1b]0;title\\x07\\u202e\\ud800');
    expect(parsed.value.warnings[0]).toHaveLength(limits.warningChars);
  });

  it.each(['Re\nady', 'Ready1', '', 'R'.repeat(65)])('whose reason is not a code is refused: %j', (reason) => {
    const conditions = [{ type: 'Ready', status: 'False', reason, message: '' }];
    expect(parseObserved({ ...observedMachine(someUid), conditions })).toMatchObject({ ok: false });
  });

  const someHello = {
    type: 'hello',
    protocolVersions: ['lcow.v1'],
    agentVersion: 'x',
    bootID: someUid,
    host: someHost,
    complete: true,
    last: true,
    virtualMachines: [],
  } as const;
});

describe('the reports of a host', () => {
  const withLog = (index: number) => readReport(observedMachine(uidOf(index), { guestLog: longestLog }));

  it('lose log text beyond the budget, then everything, but never the existence of a VM', () => {
    const { bytes } = withLog(0);
    const shorter = readReport(observedMachine(uidOf(0), { guestLog: { ...longestLog, head: [], tail: [] } })).bytes;
    const reports = new Reports(() => bytes + shorter + 100);
    expect(reports.take(withLog(0)).observed?.guestLog.tail).toHaveLength(15);
    expect(reports.take(withLog(1)).observed).toMatchObject({ abridged: true, guestLog: { total: 20, tail: [] } });
    expect(reports.take(withLog(2))).toMatchObject({ observed: undefined, failure: { reason: 'ProtocolError' } });
    expect([...reports.byUid.keys()]).toEqual([uidOf(0), uidOf(1), uidOf(2)]);
    reports.delete(uidOf(0));
    expect(reports.take(withLog(2)).observed?.guestLog.tail).toHaveLength(15);
  });

  it('of the maximum number of VMs, each with the longest log, are all stored', () => {
    const reports = new Reports(() => limits.reportsBytes);
    const one = observedMachine(someUid, { guestLog: { ...longestLog, tail: lines(15, '語'.repeat(200)) } });
    for (let index = 0; index < limits.virtualMachinesPerHost; index += 1) {
      const kept = reports.take(readReport({ ...one, uid: uidOf(index) }));
      expect(kept.failure).toBeUndefined();
      expect(kept.observed?.abridged).toBeUndefined();
    }
  });

  it('about unknown VMs are forgotten with their session', () => {
    const inventory = new Inventory(new ManualClock());
    inventory.begin('node-a', [readReport(observedMachine(uidOf(1))), readReport(observedMachine(uidOf(2)))], true);
    inventory.assigned('node-a', uidOf(3));
    inventory.end('node-a', (uid) => uid === uidOf(1));
    expect([...inventory.reportedOn('node-a').keys()]).toEqual([uidOf(1)]);
  });
});

describe('an abridged report', () => {
  it('leaves log text, warnings and devices of the status unchanged', () => {
    const guestLog = { head: ['1'], tail: ['2'], total: 2, dropped: 0 };
    const devices = { vpmem: [{ slot: 0, path: 'C:\\rootfs.vhd' }], scsi: [], assigned: [] };
    const before = observedMachine(someUid, { generation: 1, warnings: ['lowered'], guestLog, devices });
    const inputs = {
      nodeName: 'node-a',
      scheduled: { reason: 'Scheduled', message: 'placed' },
      disconnected: false,
      blocked: undefined,
      terminating: undefined,
      now: 0,
    } as const;
    const first = nextStatus({ ...inputs, object: makeMachine(), report: { observed: before, failure: undefined } });
    const { devices: _, ...rest } = before;
    const hello = { ...rest, abridged: true, warnings: [], guestLog: { ...guestLog, head: [], tail: [] } };
    const object = makeMachine({ status: first });
    expect(nextStatus({ ...inputs, object, report: { observed: hello, failure: undefined } })).toEqual(first);
  });
});

describe('the facts of a host', () => {
  it('are unchanged when they are small', () => {
    expect(boundedFacts(someHost)).toBe(someHost);
  });

  it('lose a part of the list of boot files, and say so', () => {
    const files = Array.from({ length: 256 }, (_, index) => `${index}-${'語'.repeat(250)}`);
    const bootFiles = Array.from({ length: 16 }, (_, index) => ({ path: `C:\\${index}`, files }));
    const facts = boundedFacts({ ...someHost, bootFiles });
    expect(Buffer.byteLength(JSON.stringify(facts))).toBeLessThanOrEqual(limits.factsBytes);
    expect(facts.bootFiles[0]?.files.at(-1)).toMatch(/^… \(\d+ more\)$/);
    const longPaths = Array.from({ length: 16 }, () => ({ path: '語'.repeat(1024), files: [] }));
    const cut = boundedFacts({ ...someHost, bootFiles: longPaths });
    expect(Buffer.byteLength(JSON.stringify(cut))).toBeLessThanOrEqual(limits.factsBytes);
  });

  it('lose networks for which there is no room', () => {
    const networks = Array.from({ length: 64 }, (_, index) => ({
      name: `${index} ${'語'.repeat(250)}`,
      id: `00000000-0000-0000-0000-0000000000${index + 10}`,
      type: 'NAT',
      subnets: ['172.20.0.0/16'],
    }));
    const { network } = boundedFacts({ ...someHost, network: { hnsVersion: '13.2', networks } });
    expect(network?.hnsVersion).toBe('13.2');
    expect(network?.networks.length).toBeGreaterThan(5);
    expect(network?.networks).toEqual(networks.slice(0, network?.networks.length));
    expect(Buffer.byteLength(JSON.stringify(network))).toBeLessThanOrEqual(networkLimits.bytes + 64);
  });
});
