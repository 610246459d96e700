import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { bootSpan } from '../../../operator/traces/boot.ts';
import type { Span } from '../../../operator/traces/span.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const at = (second: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + second * 1_000).toISOString();
const machine = (status: LinuxUtilityVMStatus) => makeMachine({ metadata: { creationTimestamp: at(0) }, status });
const scheduled: NonNullable<LinuxUtilityVMStatus['conditions']> = [
  { type: 'Scheduled', status: 'True', reason: 'Scheduled', message: '', lastTransitionTime: at(1) },
];
const booted: LinuxUtilityVMStatus = {
  phase: 'Running',
  nodeName: 'node-1',
  startTime: at(5),
  conditions: scheduled,
  bootTimings: {
    prepared: at(3),
    created: at(4),
    started: at(5),
    entropy: at(6),
    log: at(7),
    guestConnected: at(9),
  },
};
/** Each part with its beginning and end, in seconds. */
const show = (span: Span | undefined) =>
  span &&
  [span, ...span.parts].map(({ end, name, start }) => {
    const [from, to] = [start, end].map((time) => (time - Date.parse(at(0))) / 1_000);
    return `${name} ${from}-${to}`;
  });

describe('the span of a boot', () => {
  it('begins with the object when the VM has never run', () => {
    const span = bootSpan(machine({ phase: 'Starting', conditions: scheduled }), machine(booted));
    expect(show(span)).toEqual([
      'boot 0-9',
      'schedule 0-1',
      'prepare 1-3',
      'create 3-4',
      'start 4-5',
      'entropy 5-6',
      'log 5-7',
      'guest 5-9',
    ]);
    expect(span?.attributes).toMatchObject({ 'k8s.node.name': 'node-1', 'lcow.vm.name': 'vm' });
  });

  it('begins once the boot was prepared when the VM has run before', () => {
    const before = machine({ ...booted, phase: 'Stopped', startTime: at(-100) });
    expect(show(bootSpan(before, machine(booted)))?.slice(0, 2)).toEqual(['boot 3-9', 'create 3-4']);
  });

  it('has no part whose end is unknown or earlier than its beginning, because clocks differ', () => {
    const bootTimings = { prepared: at(0.5), created: at(4), started: at(5) };
    const span = bootSpan(machine({}), machine({ ...booted, bootTimings }));
    expect(show(span)).toEqual(['boot 0-5', 'schedule 0-1', 'create 0.5-4', 'start 4-5']);
  });

  it.each([
    ['the VM does not run yet', {}, { ...booted, phase: 'Starting' }],
    ['it has run before the write', booted, { ...booted, restarts: 1 }],
    ['nothing is known about the boot', { startTime: at(-100) }, { phase: 'Running', startTime: at(5) }],
  ] satisfies [string, LinuxUtilityVMStatus, LinuxUtilityVMStatus][])('is not made when %s', (_, before, after) => {
    expect(bootSpan(machine(before), machine(after))).toBeUndefined();
  });
});
