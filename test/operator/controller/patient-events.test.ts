import { expect, it } from 'vitest';
import { PatientEvents } from '../../../operator/controller/status/patient-events.ts';
import type { EventRecord } from '../../../operator/kubernetes/events.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';

const lastTransitionTime = '2026-01-01T00:00:00Z';
const waiting = (reason: string, message = 'm'): VirtualMachine =>
  makeMachine({ status: { conditions: [{ type: 'Ready', status: 'False', reason, message, lastTransitionTime }] } });

function bed(first: VirtualMachine) {
  const clock = new ManualClock();
  const told: EventRecord[] = [];
  const known = { machine: first };
  const machines = { byUid: (uid: string) => (uid === someUid ? known.machine : undefined) };
  return { clock, told, known, events: new PatientEvents({ clock, machines, record: (event) => told.push(event) }) };
}

function eventOf(reason: string): EventRecord {
  const regarding = { kind: 'LinuxUtilityVM', metadata: makeMachine().metadata };
  return { regarding, type: 'Warning', reason, action: 'Reconcile', note: 'at first' };
}

it('a VM that fits nowhere causes no Warning while agents may still be connecting', async () => {
  const { clock, events, known, told } = bed(waiting('NoHostFits'));
  events.record(eventOf('NoHostFits'));
  await clock.advance(9_000);
  expect(told).toEqual([]);
  known.machine = waiting('Starting');
  await clock.advance(60_000);
  expect(told).toEqual([]);
});

it('the Warning comes once the state has lasted, with its current text', async () => {
  const { clock, events, told } = bed(waiting('NoHostFits', '0/3 hosts fit'));
  events.record(eventOf('NoHostFits'));
  await clock.advance(11_000);
  expect(told).toMatchObject([{ reason: 'NoHostFits', note: '0/3 hosts fit', type: 'Warning' }]);
});

it('every other Event is written at once', () => {
  const { events, told } = bed(waiting('DiskFailed'));
  events.record(eventOf('DiskFailed'));
  expect(told).toHaveLength(1);
});
