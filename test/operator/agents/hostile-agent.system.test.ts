// Agents that send more than a real agent does (docs/design.md §10). The operator bounds each of them over all its
// sessions, and other agents are not affected.
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { agentsPath, closeCodes, type Hello, limits, subprotocol } from '../../../protocol/messages.ts';
import { AgentBed } from '../../support/operator/agent-bed.ts';
import { until } from '../../support/operator/fixture.ts';
import { someUid } from '../../support/operator/objects.ts';
import { observedMachine, type ScriptedAgent, someHost } from '../../support/operator/scripted-agent.ts';

const uidOf = (index: number) => `6a3f2c1e-0b7d-4c55-9a51-${String(index).padStart(12, '0')}`;
const part: Hello = {
  type: 'hello',
  protocolVersions: [subprotocol],
  agentVersion: 'hostile',
  bootID: someUid,
  host: someHost,
  virtualMachines: [],
  complete: true,
  last: false,
};
const filler = 'x'.repeat(60_000);
/** A report of the largest allowed size. */
const largeReport = (uid: string) => ({
  ...observedMachine(uid),
  devices: {
    vpmem: [],
    scsi: Array.from({ length: 60 }, (_, lun) => ({ controller: 0, lun, path: `C:\\${filler.slice(0, 1_000)}` })),
    assigned: [],
  },
});

/** The answer to a connection; undefined if it was accepted. */
async function answerTo(port: number, nodeName: string): Promise<number | undefined> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${agentsPath}`, [subprotocol], {
    headers: { authorization: `Bearer ${nodeName}` },
  });
  socket.on('error', () => {});
  const code = await new Promise<number | undefined>((resolve) => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    socket.on('open', () => resolve(undefined));
  });
  socket.terminate();
  return code;
}

describe('an agent', () => {
  it('that never ends its hello is disconnected and kept out for a while, and another agent keeps its session', async () => {
    await using bed = await AgentBed.start();
    const bystander = await bed.connectLive('node-b');
    const flood = await bed.connect('node-a', (agent) => {
      for (let index = 0; index < 300; index += 1) {
        agent.send({ ...part, virtualMachines: [{ ...observedMachine(uidOf(index)), unknown: filler.slice(50_000) }] });
      }
    });
    expect((await flood.closed).code).toBe(closeCodes.malformed);
    expect(bed.misbehaviour).toContain('hello_too_long');
    expect(await answerTo(bed.port, 'node-a')).toBe(429);
    await until(async () => (await answerTo(bed.port, 'node-a')) === undefined);
    expect(bystander.isOpen).toBe(true);
  });

  it('that invents VMs fills a bounded memory, which is freed when it disconnects', async () => {
    await using bed = await AgentBed.start();
    const agent = await bed.connectLive('node-a');
    const count = 1_150;
    for (let index = 0; index < count; index += 1) {
      agent.observe(largeReport(uidOf(index)));
      if (index % 50 === 0) await until(() => bed.inventory.reportedOn('node-a').size >= index);
    }
    await until(() => bed.inventory.reportedOn('node-a').size === count);
    expect(bed.keptBytes('node-a')).toBeGreaterThan(0.95 * limits.reportsBytes);
    expect(bed.keptBytes('node-a')).toBeLessThan(1.01 * limits.reportsBytes);
    // The VM still counts as present, although there was no room for the rest of its report.
    expect(bed.inventory.presence('node-a', uidOf(count - 1))).toBe('Present');
    await agent.disconnect();
    await until(() => bed.inventory.reportedOn('node-a').size === 0);
  });

  it('that sends much before it is welcomed has no more room than a hello', async () => {
    await using bed = await AgentBed.start();
    const agent = await bed.connect('node-a', (each) => {
      for (let index = 0; index < 100; index += 1) {
        const last = index === 99;
        each.send({ ...part, virtualMachines: [largeReport(uidOf(index))], last });
      }
    });
    await until(() => agent.receivedOf('desired').length > 0);
    expect(bed.inventory.reportedOn('node-a').size).toBe(100);
    expect(bed.keptBytes('node-a')).toBeLessThanOrEqual(limits.helloBytes + 100 * limits.helloBytesPerVirtualMachine);
  });

  it('that reconnects again and again gets a dozen sessions, and then has to wait', async () => {
    await using bed = await AgentBed.start();
    const bystander = await bed.connectLive('node-b');
    let sessions = 0;
    let refused: ScriptedAgent | undefined;
    while (refused === undefined && sessions < 20) {
      const agent = await bed.connect('node-a');
      const welcomed = until(() => agent.receivedOf('desired').length > 0).then(() => true);
      if (await Promise.race([welcomed, agent.closed.then(() => false)])) {
        sessions += 1;
        await agent.disconnect();
      } else refused = agent;
    }
    expect(sessions).toBe(12);
    expect((await refused?.closed)?.code).toBe(closeCodes.overflow);
    expect(bed.misbehaviour).toEqual(['too_many_sessions']);
    expect(bystander.isOpen).toBe(true);
  });

  it('has one budget of messages, however often it connects', async () => {
    await using bed = await AgentBed.start({ messages: { perSecond: 20, burst: 100 } });
    const first = await bed.connectLive('node-a');
    for (let restarts = 1; restarts < 90; restarts += 1) first.observe(observedMachine(someUid, { restarts }));
    await until(() => bed.inventory.reportOf('node-a', someUid)?.observed?.restarts === 89);
    await first.disconnect();
    const second = await bed.connectLive('node-a');
    const said = async (restarts: number) => {
      second.observe(observedMachine(someUid, { restarts }));
      await until(() => bed.inventory.reportOf('node-a', someUid)?.observed?.restarts === restarts);
    };
    for (let restarts = 100; restarts < 140; restarts += 1) second.observe(observedMachine(someUid, { restarts }));
    // Messages that arrive in one piece are read together; later ones wait.
    await said(140);
    const before = performance.now();
    await said(141);
    await said(142);
    expect(performance.now() - before).toBeGreaterThan(500);
    expect(bed.misbehaviour).toContain('too_many_messages');
  });

  it('that sends invalid messages is kept out longer each time, and other nodes are not affected', async () => {
    await using bed = await AgentBed.start();
    const waits: number[] = [];
    for (let each = 0; each < 3; each += 1) {
      const agent = await bed.connect('node-a');
      agent.send({ type: 'nonsense' } as never);
      expect((await agent.closed).code).toBe(closeCodes.malformed);
      const since = performance.now();
      expect(await answerTo(bed.port, 'node-b')).toBeUndefined();
      await until(async () => (await answerTo(bed.port, 'node-a')) === undefined);
      waits.push(performance.now() - since);
    }
    expect(waits[0]).toBeGreaterThan(500);
    expect(waits[1]).toBeGreaterThan(1.5 * (waits[0] ?? 0));
    expect(waits[2]).toBeGreaterThan(1.5 * (waits[1] ?? 0));
  });

  it('that splits a message into more parts than a real agent does is disconnected', async () => {
    await using bed = await AgentBed.start();
    const socket = new WebSocket(`ws://127.0.0.1:${bed.port}${agentsPath}`, [subprotocol], {
      headers: { authorization: 'Bearer node-a' },
    });
    socket.on('error', () => {});
    const closed = new Promise<number>((resolve) => socket.on('close', resolve));
    await new Promise((resolve) => socket.on('open', resolve));
    for (let each = 0; each < 1_000; each += 1) socket.send('x', { fin: false });
    expect(await closed).toBe(1008);
  });
});
