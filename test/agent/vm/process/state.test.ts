// The process of a VM as the journal has it, and how its end is the end of the VM.
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { executeSettings } from '../../../../agent/guest/bridge/process-request.ts';
import { exitOfProcess, judgedByProcess, processChanged, processGone } from '../../../../agent/vm/process/record.ts';
import {
  afterEvent,
  type MachineProcess,
  machineProcess,
  observedProcess,
  type ProcessEvent,
  relayPort,
} from '../../../../agent/vm/process/state.ts';
import { commandOf } from '../../../../agent/vm/process/tend.ts';
import type { MachineRecord } from '../../../../agent/vm/record.ts';
import { newRecord } from '../../../../agent/vm/record.ts';
import type { RequestedOptions } from '../../../../protocol/options.ts';
import { someUid } from '../../../support/agent/assignments.ts';

const [t1, t2] = ['2026-01-01T00:00:01.000Z', '2026-01-01T00:00:02.000Z'];
const starting: MachineProcess = { state: 'starting' };
const running: MachineProcess = { state: 'running', pid: 7, startedAt: t1 };
const exited = (exitCode: number): MachineProcess => ({ state: 'exited', exitCode, startedAt: t1, finishedAt: t2 });
const lostStart: MachineProcess = { state: 'failed', reason: 'ProcessStartUnknown', finishedAt: t2 };
const lostCode: MachineProcess = { state: 'failed', reason: 'ExitCodeLost', startedAt: t1, finishedAt: t2 };

const applied = (options: RequestedOptions): NonNullable<MachineRecord['applied']> => ({
  options,
  optionsDigest: '',
  documentDigest: '',
  outlivesAgent: false,
  processorCount: 1,
  memorySizeInMB: 1,
  osBuild: 1,
  scsiControllers: 4,
  warnings: [],
  devices: { vpmem: [], scsi: [], assigned: [] },
  execAllowed: true,
});
const recordOf = (process: MachineProcess | undefined): MachineRecord => ({
  ...newRecord(someUid, '11111111-2222-4333-8444-555555555555'),
  applied: applied({ ProcessCommand: ['job'] }),
  ...(process !== undefined && { process }),
});

describe('each event', () => {
  const refused: ProcessEvent = { kind: 'refused', reason: 'ProcessNotAllowed' };
  it.each<[MachineProcess | undefined, ProcessEvent, MachineProcess | undefined]>([
    [undefined, { kind: 'starting' }, starting],
    [starting, { kind: 'notBegun' }, undefined],
    [starting, { kind: 'started', pid: 7 }, { ...running, startedAt: t2 }],
    [starting, refused, { state: 'failed', reason: 'ProcessNotAllowed', finishedAt: t2 }],
    [starting, { kind: 'lost' }, lostStart],
    [running, { kind: 'exited', exitCode: 3 }, exited(3)],
    [running, { kind: 'lost' }, lostCode],
    // Nothing happens twice, and nothing starts again.
    [running, { kind: 'starting' }, running],
    [running, { kind: 'notBegun' }, running],
    [running, refused, running],
    [exited(0), { kind: 'starting' }, exited(0)],
    [exited(0), { kind: 'exited', exitCode: 3 }, exited(0)],
    [exited(0), { kind: 'lost' }, exited(0)],
    [lostCode, { kind: 'started', pid: 8 }, lostCode],
    [starting, { kind: 'exited', exitCode: 0 }, starting],
    [undefined, { kind: 'lost' }, undefined],
    // The relay of a process that outlives its agent.
    [undefined, { kind: 'starting', port: 5 }, { ...starting, port: 5 }],
    [
      { ...starting, port: 5 },
      { kind: 'started', pid: 7 },
      { ...running, port: 5, startedAt: t2 },
    ],
    [{ ...starting, port: 5 }, { kind: 'lost' }, lostStart],
    [{ ...running, port: 5 }, { kind: 'exited', exitCode: 3 }, exited(3)],
    [{ ...running, port: 5 }, { kind: 'lost' }, lostCode],
  ])('%j, %j: %j', (process, event, expected) => {
    expect(afterEvent(process, event, t2)).toEqual(expected);
    expect(processChanged(recordOf(process), event, t2)).toEqual(recordOf(expected));
  });
});

describe('the end of the VM', () => {
  it.each([
    [exited(0), 'GracefulExit', 'the process ended with exit code 0'],
    [exited(3), 'UnexpectedExit', 'the process ended with exit code 3'],
    [exited(0xffff_ffff), 'UnexpectedExit', 'a signal ended the process'],
    [lostCode, 'UnexpectedExit', 'the exit code of the process is lost (ExitCodeLost)'],
  ] as const)('%j: %s', (process, type, message) => {
    expect(exitOfProcess(recordOf(process), t2)).toEqual({ type, time: t2, message });
  });

  it('has the words of the guest, which cannot steer a terminal', () => {
    const { message } = exitOfProcess(recordOf(lostStart), t2, 'no\u001b[2J such');
    expect(message).toContain('(ProcessStartUnknown): no');
    expect(message).not.toContain('\u001b');
  });

  it.each([undefined, starting, running, exited(3), lostCode])('is no good end by a power-off with %j', (process) => {
    const off = { type: 'GracefulExit', time: t2, message: 'the guest powered off' } as const;
    expect(judgedByProcess(recordOf(process), off).type).toBe('UnexpectedExit');
  });

  it('is judged as ever without a process, and after 0', () => {
    const off = { type: 'GracefulExit', time: t2, message: 'the guest powered off' } as const;
    expect(judgedByProcess(recordOf(exited(0)), off)).toEqual(off);
    expect(judgedByProcess({ ...recordOf(undefined), applied: applied({}) }, off)).toEqual(off);
  });

  it('closes a process that is still open', () => {
    expect(processGone(recordOf(running), t2).process).toEqual(lostCode);
    expect(processGone(recordOf(starting), t2).process).toEqual(lostStart);
    expect(processGone(recordOf(exited(0)), t2).process).toEqual(exited(0));
  });
});

it('the guest is told the command, its folder, and exactly the environment of the manifest and PATH', () => {
  const settings = (options: RequestedOptions) => {
    const text = JSON.stringify(executeSettings(commandOf({ applied: applied(options) }), {}));
    return JSON.parse(JSON.parse(text).ProcessParameters);
  };
  const ProcessCommand = ['/bin/job', 'a b'];
  expect(settings({ ProcessCommand })).toEqual({
    CommandArgs: ProcessCommand,
    WorkingDirectory: '/',
    Environment: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
  });
  const ProcessEnvironment = ['A=b=c', 'PATH=/opt'];
  expect(settings({ ProcessCommand, ProcessEnvironment, ProcessWorkingDirectory: '/work' })).toEqual({
    CommandArgs: ProcessCommand,
    WorkingDirectory: '/work',
    Environment: { A: 'b=c', PATH: '/opt' },
  });
});

it('is read from the journal of an agent that knew no relay', () => {
  for (const each of [starting, running, exited(3), lostStart, lostCode]) {
    const written = z.json().parse(JSON.parse(JSON.stringify(each)));
    expect(machineProcess.parse(written)).toEqual(each);
    expect(relayPort(each)).toBeUndefined();
  }
  expect(relayPort(machineProcess.parse({ ...running, port: 5 }))).toBe(5);
});

it('users see a signal as 255', () => {
  expect(observedProcess(exited(0xffff_ffff))).toEqual({
    state: 'Exited',
    exitCode: 255,
    startedAt: t1,
    finishedAt: t2,
  });
  expect(observedProcess(lostCode)).toEqual({ state: 'Failed', reason: 'ExitCodeLost', startedAt: t1, finishedAt: t2 });
  expect(observedProcess(starting)).toEqual({ state: 'Starting' });
});
