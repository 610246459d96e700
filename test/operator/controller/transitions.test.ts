// Which changes of a VM's status become Events.
import { describe, expect, it } from 'vitest';
import { nextStatus } from '../../../operator/controller/status/status.ts';
import { transitions } from '../../../operator/controller/status/transitions.ts';
import { inputs, reported, stored } from '../../support/operator/status-inputs.ts';

describe('transitions', () => {
  it('report a start only when the VM is ready', () => {
    const odd = { type: 'Ready', status: 'False', reason: 'Running', message: '' } as const;
    const status = nextStatus(inputs({ report: reported({ conditions: [odd] }) }));
    expect(transitions(status, status)).toEqual([]);
  });

  it('report a live change as normal, and that a restart is required', () => {
    const optionsDigest = (digit: string) => digit.repeat(64);
    const running = nextStatus(inputs({ report: reported({ optionsDigest: optionsDigest('a') }) }));
    const changing = nextStatus(
      inputs({
        object: stored(running),
        report: reported({
          optionsDigest: optionsDigest('a'),
          conditions: [{ type: 'Ready', status: 'False', reason: 'Changing', message: 'is given it' }],
        }),
      }),
    );
    expect(transitions(running, changing)).toMatchObject([{ reason: 'Changing', type: 'Normal' }]);
    const changed = nextStatus(
      inputs({ object: stored(changing), report: reported({ optionsDigest: optionsDigest('b') }) }),
    );
    expect(transitions(changing, changed)).toMatchObject([{ reason: 'Changed', type: 'Normal' }]);
    expect(transitions(running, changed)).toMatchObject([{ reason: 'Changed', type: 'Normal' }]);
    expect(transitions(changed, changed)).toEqual([]);
    const restart = { type: 'RestartRequired', status: 'True', reason: 'RestartRequired', message: 'changed' } as const;
    const { conditions = [] } = reported().observed ?? {};
    const outdated = nextStatus(
      inputs({
        object: stored(changed),
        report: reported({ optionsDigest: optionsDigest('b'), conditions: [...conditions, restart] }),
      }),
    );
    expect(transitions(changed, outdated)).toMatchObject([{ reason: 'RestartRequired', type: 'Normal' }]);
  });

  it('never report a VM as stalled and reconciling at the same time', () => {
    const both = (['Stalled', 'Reconciling'] as const).map(
      (type) => ({ type, status: 'True', reason: 'DiskFailed', message: 'm' }) as const,
    );
    const status = nextStatus(inputs({ report: reported({ conditions: both }) }));
    expect(status.conditions?.map(({ type }) => type)).not.toContain('Reconciling');
    expect(status.conditions?.map(({ type }) => type)).toContain('Stalled');
  });

  it('report placement, success, exits and failures, and not the steps between', () => {
    const placed = nextStatus(inputs());
    const running = nextStatus(inputs({ object: stored(placed), report: reported() }));
    expect(transitions({}, placed)).toEqual([]);
    expect(transitions(placed, running)).toMatchObject([{ reason: 'Started', type: 'Normal' }]);
    const takenBack = { nodeName: 'node-a', scheduled: { reason: 'Scheduled', message: 'taken back' } };
    expect(transitions({}, nextStatus(inputs({ ...takenBack, report: reported() })))).toMatchObject([
      { reason: 'Started', note: 'Scheduled: taken back. Started: runs' },
    ]);
    const booting = nextStatus(
      inputs({ object: stored(placed), report: reported({ phase: 'Starting', conditions: [] }) }),
    );
    expect(transitions(placed, booting)).toMatchObject([{ reason: 'Scheduled', type: 'Normal' }]);
    expect(transitions(booting, running)).toMatchObject([{ reason: 'Started', note: 'runs' }]);
    const left = nextStatus(inputs({ object: stored(placed), nodeName: undefined }));
    expect(transitions(placed, left)).toMatchObject([{ reason: 'Scheduled' }, { type: 'Warning' }]);
    const lastExit = { type: 'UnexpectedExit', time: '2026-05-01T12:00:00Z', message: 'bugcheck' } as const;
    const ready = { type: 'Ready', status: 'False', reason: 'BackOff', message: 'in 10 s' } as const;
    const failed = nextStatus(
      inputs({ object: stored(running), report: reported({ phase: 'Failed', lastExit, conditions: [ready] }) }),
    );
    expect(transitions(running, failed).map(({ reason, type }) => [reason, type])).toEqual([
      ['Exited', 'Warning'],
      ['BackOff', 'Warning'],
    ]);
  });
});
