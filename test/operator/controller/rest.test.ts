// Resting VMs: how much room they hold, and what counts as a start.
import { describe, expect, it } from 'vitest';
import {
  finalizer,
  type LinuxUtilityVMManifestSpec,
  type LinuxUtilityVMStatus,
  type Phase,
} from '../../../crds/linux-utility-vm.ts';
import type { Condition } from '../../../crds/object.ts';
import {
  awaitsRoom,
  holdsRoom,
  isBoundToHost,
  isStart,
  reportedRest,
  restWithoutHost,
} from '../../../operator/controller/knowledge/rest.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';

const lastTransitionTime = '2026-01-01T00:00:00Z';
const ended = (type: string) => ({ type, time: lastTransitionTime });

function placed(reason: string, changes: LinuxUtilityVMStatus = {}, status: 'True' | 'False' = 'True') {
  const scheduled = { type: 'Scheduled', status, reason, message: 'm', lastTransitionTime };
  return { nodeName: 'node-a', observedGeneration: 1, conditions: [scheduled], ...changes };
}

const restartedAt = { annotations: { 'lcow.dev/restartedAt': 'now' } };
const stopped = (reason: string, changes: Partial<ObservedVirtualMachine> = {}) =>
  observedMachine(someUid, {
    generation: 1,
    phase: reason === 'Halted' || reason === 'Completed' ? 'Stopped' : 'Failed',
    conditions: [{ type: 'Ready', status: 'True', reason, message: '' }],
    ...changes,
  });

describe('room', () => {
  it.each<[string, LinuxUtilityVMStatus, boolean]>([
    ['a VM without a host', {}, false],
    ['one that was placed', placed('Scheduled'), true],
    ['one whose start was admitted', placed('Admitted'), true],
    ['one without conditions, from an earlier operator', { nodeName: 'node-a' }, true],
    ['one whose host is away', placed('Scheduled', { phase: 'Unknown' }), true],
    ['one that was halted', placed('Halted'), false],
    ['one that ended well', placed('Completed'), false],
    ['one that ended badly', placed('Failed'), false],
    ['one that ended with its agent', placed('AgentRestarted'), false],
    ['one that waits for room', placed('NoRoom', {}, 'False'), false],
  ])('is held or not held by %s: %#', (_name, status, holds) => {
    const machine = makeMachine({ status });
    expect(holdsRoom(machine)).toBe(holds);
    const machines = new VirtualMachines();
    machines.remember(machine);
    expect(machines.promisedTo('node-a').virtualMachines).toBe(holds ? 1 : 0);
    expect(machines.keysOn('node-a').size).toBe(status.nodeName === undefined ? 0 : 1);
  });

  it('is not held by a VM that was torn down, whatever finalizer keeps its object', () => {
    const machines = new VirtualMachines();
    const at = (resourceVersion: string, finalizers: string[]) =>
      makeMachine({
        status: placed('Scheduled', { phase: 'Running' }),
        metadata: { resourceVersion, finalizers, deletionTimestamp: lastTransitionTime },
      });
    machines.remember(at('1', [finalizer, 'example.com/held']));
    expect(machines.promisedTo('node-a').virtualMachines).toBe(1);
    machines.remember(at('2', ['example.com/held']));
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 0, virtualMachines: 0 });
    expect(machines.keysOn('node-a').size).toBe(0);
  });

  it('is as large as what the VM has or asks for, but never larger than its host', () => {
    const machines = new VirtualMachines(undefined, () => 8_192);
    let version = 0;
    const promised = (sizeInMB: number, memorySizeInMB?: number) => {
      version += 1;
      const status = placed('Scheduled', memorySizeInMB === undefined ? {} : { memorySizeInMB });
      machines.remember(
        makeMachine({ spec: { memory: { sizeInMB } }, status, metadata: { resourceVersion: `${version}` } }),
      );
      return machines.promisedTo('node-a').memoryInMB;
    };
    expect(promised(1_024)).toBe(1_024);
    expect(promised(4_096, 1_024)).toBe(4_096);
    expect(promised(512, 1_024)).toBe(1_024);
    expect(promised(2 ** 40, 1_024)).toBe(1_024);
    expect(promised(2 ** 40)).toBe(0);
  });

  it('is not held in a size that the host could never provide, once the VM is stopped', () => {
    const machines = new VirtualMachines(undefined, () => 8_192);
    const at = (resourceVersion: string, phase: Phase, memorySizeInMB: number) =>
      makeMachine({
        spec: { memory: { sizeInMB: 9_000 } },
        status: placed('Scheduled', { phase, memorySizeInMB }),
        metadata: { resourceVersion },
      });
    const [starting, failed, smaller] = [at('1', 'Starting', 9_000), at('2', 'Failed', 9_000), at('3', 'Failed', 512)];
    machines.remember(starting);
    expect(machines.promisedTo('node-a').memoryInMB).toBe(9_000);
    expect(machines.gaveUpRoom(starting, failed)).toBe(true);
    machines.remember(failed);
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 0, virtualMachines: 1 });
    machines.remember(smaller);
    expect(machines.promisedTo('node-a').memoryInMB).toBe(512);
  });

  it('follows what the host could ever provide', () => {
    let capacity = 4_096;
    const machines = new VirtualMachines(undefined, () => capacity);
    machines.remember(makeMachine({ spec: { memory: { sizeInMB: 6_000 } }, status: placed('Scheduled') }));
    expect(machines.promisedTo('node-a').memoryInMB).toBe(0);
    capacity = 8_192;
    machines.reviewHost('node-a');
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 6_000, virtualMachines: 1 });
    capacity = 4_096;
    machines.reviewHost('node-a');
    expect(machines.promisedTo('node-a')).toEqual({ memoryInMB: 0, virtualMachines: 1 });
  });
});

describe('a rest', () => {
  it.each<[string, LinuxUtilityVMManifestSpec, ObservedVirtualMachine, string | undefined]>([
    ['a halted VM', { runStrategy: 'Halted' }, stopped('Halted'), 'Halted'],
    ['an older generation', { runStrategy: 'Halted' }, stopped('Halted', { generation: 0 }), undefined],
    ['one that is stopping', { runStrategy: 'Halted' }, stopped('Halted', { phase: 'Stopping' }), undefined],
    ['one that its agent cannot see', { runStrategy: 'Halted' }, stopped('Halted', { phase: 'Unknown' }), undefined],
    ['one that a drain halted', {}, stopped('Halted'), undefined],
    ['one that a drain halted once', { runStrategy: 'Once' }, stopped('Halted'), undefined],
    ['a crash', {}, stopped('BackOff'), undefined],
    ['one that ended well, once', { runStrategy: 'Once' }, stopped('Completed'), 'Completed'],
    ['one that ended badly, once', { runStrategy: 'Once' }, stopped('Failed'), 'Failed'],
    ['one that ended with its agent, once', { runStrategy: 'Once' }, stopped('AgentRestarted'), 'AgentRestarted'],
    ['one that powered off', { runStrategy: 'RerunOnFailure' }, stopped('Completed'), 'Completed'],
    ['one whose report says Failed', { runStrategy: 'RerunOnFailure' }, stopped('Failed'), undefined],
    ['one whose report says Completed', { runStrategy: 'Always' }, stopped('Completed'), undefined],
  ])('is concluded from a report only if the VM rests: %s', (_name, spec, observed, rest) => {
    expect(reportedRest(makeMachine({ spec, status: placed('Scheduled') }), observed)).toBe(rest);
  });

  const drained = {
    type: 'Ready',
    status: 'False',
    reason: 'HostDrained',
    message: 'm',
    lastTransitionTime,
  } satisfies Condition;

  it.each([
    ['AgentRestarted', 'HostDrained'],
    ['Failed', 'HostDrained'],
    ['Completed', 'Completed'],
  ])('%s is %s of a VM that a drain stopped', (reported, rest) => {
    const object = makeMachine({
      spec: { runStrategy: 'Once' },
      status: placed('Scheduled', { conditions: [drained] }),
    });
    expect(reportedRest(object, stopped(reported))).toBe(rest);
  });

  it.each([
    ['ForcedExit', 'HostDrained'],
    ['AgentExit', 'HostDrained'],
    ['GracefulExit', 'Completed'],
  ])('without a host it is that of a drain, too: %s', (type, rest) => {
    const status = { startTime: lastTransitionTime, lastExit: ended(type), conditions: [drained] };
    expect(restWithoutHost(makeMachine({ spec: { runStrategy: 'Once' }, status }))).toBe(rest);
  });

  it('ends when a restart is requested', () => {
    const machine = makeMachine({ spec: { runStrategy: 'RerunOnFailure' }, metadata: restartedAt });
    expect(reportedRest(machine, stopped('Completed'))).toBeUndefined();
    expect(reportedRest(machine, stopped('Completed', { restartedAt: 'now' }))).toBe('Completed');
  });

  it.each<[LinuxUtilityVMManifestSpec['runStrategy'], LinuxUtilityVMStatus, string | undefined]>([
    ['Halted', {}, 'Halted'],
    ['Always', { startTime: lastTransitionTime, lastExit: ended('GracefulExit') }, undefined],
    ['Once', {}, undefined],
    ['Once', { startTime: lastTransitionTime, lastExit: ended('GracefulExit') }, 'Completed'],
    ['Once', { startTime: lastTransitionTime, lastExit: ended('UnexpectedExit') }, 'Failed'],
    ['Once', { startTime: lastTransitionTime }, 'AgentRestarted'],
    ['RerunOnFailure', { startTime: lastTransitionTime, lastExit: ended('GracefulExit') }, 'Completed'],
    ['RerunOnFailure', { startTime: lastTransitionTime, lastExit: ended('UnexpectedExit') }, undefined],
  ])('needs no host: %s %#', (runStrategy, status, rest) => {
    expect(restWithoutHost(makeMachine({ spec: { runStrategy }, status }))).toBe(rest);
  });
});

describe('a start', () => {
  it.each<[string, LinuxUtilityVMManifestSpec, LinuxUtilityVMStatus, boolean]>([
    ['a halted VM must run', {}, placed('Halted'), true],
    ['it waits for room', {}, placed('NoRoom', {}, 'False'), true],
    ['it was admitted', {}, placed('Admitted'), false],
    ['it is halted again while it waits', { runStrategy: 'Halted' }, placed('NoRoom', {}, 'False'), false],
    ['it runs', {}, placed('Scheduled', { phase: 'Running' }), false],
    ['it crashed, and is started again later', {}, placed('Scheduled', { phase: 'Failed' }), false],
    ['it ended once', { runStrategy: 'Once' }, placed('Completed'), false],
    ['it failed once', { runStrategy: 'Once' }, placed('Failed'), false],
    ['it failed with Once, and has Always now', { runStrategy: 'Always' }, placed('Failed'), true],
    ['it was halted, and has Once now', { runStrategy: 'Once' }, placed('Halted'), true],
    [
      'it ended well',
      { runStrategy: 'RerunOnFailure' },
      placed('Completed', { startTime: lastTransitionTime, lastExit: ended('GracefulExit') }),
      false,
    ],
    ['it has no host', {}, {}, false],
  ])('%s', (_name, spec, status, start) => {
    expect(isStart(makeMachine({ spec, status }))).toBe(start);
  });

  it('includes a requested restart of a VM that ended well, but nothing for a VM that is being deleted', () => {
    const spec = { runStrategy: 'RerunOnFailure' } as const;
    const status = placed('Completed', { startTime: lastTransitionTime, lastExit: ended('GracefulExit') });
    expect(isStart(makeMachine({ spec, status, metadata: restartedAt }))).toBe(true);
    const deleted = { deletionTimestamp: lastTransitionTime, finalizers: [finalizer] };
    expect(isStart(makeMachine({ status: placed('Halted'), metadata: deleted }))).toBe(false);
  });

  it('makes the operator look at VMs that wait for room, and at no resting VM', () => {
    expect(awaitsRoom(makeMachine())).toBe(true);
    expect(awaitsRoom(makeMachine({ status: placed('NoRoom', {}, 'False') }))).toBe(true);
    expect(awaitsRoom(makeMachine({ status: placed('Scheduled') }))).toBe(false);
    const { nodeName, ...unplaced } = placed('Halted', {}, 'False');
    expect(awaitsRoom(makeMachine({ spec: { runStrategy: 'Halted' }, status: unplaced }))).toBe(false);
    expect(awaitsRoom(makeMachine({ status: unplaced }))).toBe(true);
  });

  it('can happen on another host only if nothing binds the VM to its host', () => {
    const spec = (manifest: LinuxUtilityVMManifestSpec) => {
      const parsed = makeMachine({ spec: manifest }).spec;
      if (!parsed.ok) throw new Error(parsed.message);
      return parsed.value;
    };
    const disk = { name: 'data', path: 'C:\\data.vhdx' };
    expect(isBoundToHost(spec({}))).toBe(false);
    expect(isBoundToHost(spec({ nodeName: 'node-a' }))).toBe(true);
    expect(isBoundToHost(spec({ storage: { disks: [disk] } }))).toBe(true);
    expect(isBoundToHost(spec({ storage: { disks: [{ ...disk, readOnly: true }] } }))).toBe(false);
    const share = { name: 'work', path: 'C:\\work', guestPath: '/mnt/work' };
    expect(isBoundToHost(spec({ fileShares: { shares: [share] } }))).toBe(true);
    expect(isBoundToHost(spec({ fileShares: { shares: [{ ...share, readOnly: true }] } }))).toBe(false);
  });
});
