// An honest agent with the maximum number of VMs, whose guests log the longest text that fits into a report. Neither
// its session nor its reports exceed the budgets of a peer.
import { once } from 'node:events';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { GuestLog } from '../../../agent/guest-log/log.ts';
import { Epochs } from '../../../agent/link/epochs.ts';
import { OperatorSession } from '../../../agent/link/session.ts';
import type { DesiredMachine } from '../../../operator/controller/instructions/agents.ts';
import { desiredMachine } from '../../../operator/controller/instructions/assignment.ts';
import { digestsOf } from '../../../operator/kubernetes/objects.ts';
import { agentsPath, limits, type ObservedVirtualMachine, subprotocol } from '../../../protocol/messages.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { AgentBed } from '../../support/operator/agent-bed.ts';
import { until } from '../../support/operator/fixture.ts';
import { makeMachine } from '../../support/operator/objects.ts';
import { observedMachine, someHost } from '../../support/operator/scripted-agent.ts';

const uids = Array.from(
  { length: limits.virtualMachinesPerHost },
  (_, index) => `6a3f2c1e-0b7d-4c55-9a51-${String(index).padStart(12, '0')}`,
);

const log = new GuestLog(1, { head: [], tail: [], total: 0, dropped: 0 });
for (let line = 0; line < 30; line += 1) log.append('語'.repeat(limits.logLineChars));

function chatty(uid: string): ObservedVirtualMachine {
  const path = `C:\\ProgramData\\lcow\\vms\\${uid}\\rootfs.vhd`;
  return observedMachine(uid, {
    generation: 1,
    guestLog: log.summary(),
    devices: { vpmem: [{ slot: 0, path }], scsi: [{ controller: 0, lun: 0, path }], assigned: [] },
  });
}

it('an agent with the most VMs is accepted with all of them, and none of its reports is refused', async () => {
  await using bed = await AgentBed.start();
  const neighbour = await bed.connectLive('node-b');
  const socket = new WebSocket(`ws://127.0.0.1:${bed.port}${agentsPath}`, [subprotocol], {
    headers: { authorization: 'Bearer node-a' },
  });
  await once(socket, 'open');
  const session = new OperatorSession(socket, {
    clock: systemClock,
    logger: pino({ level: 'silent' }),
    supervisor: {
      count: uids.length,
      uids: () => uids,
      observe: chatty,
      machine: () => undefined,
      loggerOf: () => pino({ level: 'silent' }),
      intend: () => Promise.resolve(),
      assign: () => Promise.resolve(),
      refuse: () => {},
      release: () => {},
    },
    agentVersion: 'x',
    agentBootID: '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f',
    host: someHost,
    networks: () => undefined,
    openStreams: () => ({
      size: 0,
      open: () => {},
      receive: () => {},
      receiveBinary: () => true,
      forget: () => {},
      end: () => {},
    }),
    epochs: new Epochs(),
  });
  await session.welcomed;
  const reports = () => [...bed.inventory.reportedOn('node-a').values()];
  const complete = () => reports().filter(({ observed }) => observed !== undefined && observed.abridged !== true);
  await until(() => complete().length === uids.length, 60_000);
  expect(reports().every(({ failure }) => failure === undefined)).toBe(true);
  expect(bed.keptBytes('node-a')).toBeLessThanOrEqual(limits.reportsBytes);
  const [first] = complete();
  expect(first?.observed).toEqual(chatty(uids[0] ?? ''));
  expect(bed.misbehaviour).toEqual([]);
  expect(neighbour.isOpen).toBe(true);
  session.close(1000, 'done');
  await session.closed;
}, 90_000);

it('an agent whose VMs have more policies than can wait for a peer is sent all of them', async () => {
  await using bed = await AgentBed.start();
  const count = 100;
  bed.desired = uids.slice(0, count).map((uid, index) => withPolicy(uid, `${index}`.padEnd(limits.policyChars, 'x')));
  const agent = await bed.connectLive('node-a');
  expect(agent.receivedOf('policy')).toHaveLength(count);
  expect(agent.receivedOf('desired').flatMap(({ virtualMachines }) => virtualMachines)).toHaveLength(count);
  // A policy that was sent long ago can have been forgotten, so it is sent again. A recent one is not.
  for (const desired of [bed.desired[0], bed.desired[0], bed.desired[count - 1]]) {
    if (desired === undefined) throw new Error('no VM');
    const { assignment } = desired;
    for (const paused of [true, false]) {
      bed.sessions.assign('node-a', { ...desired, assignment: { ...assignment, paused } });
    }
  }
  await until(() => agent.receivedOf('assign').length === 6);
  expect(agent.receivedOf('policy')).toHaveLength(count + 1);
}, 60_000);

function withPolicy(uid: string, securityPolicy: string): DesiredMachine {
  // Longer than a spec allows, as from a ConfigMap.
  const spec = { confidential: { securityPolicy: 'eA==', isolation: 'None' as const } };
  const object = makeMachine({ metadata: { uid }, spec });
  if (!object.spec.ok) throw new Error(object.spec.message);
  const digests = digestsOf(object.spec.value, securityPolicy);
  return { ...desiredMachine(object, object.spec.value, digests), policy: securityPolicy };
}
