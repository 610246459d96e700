import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LinuxUtilityVMStatus, linuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMHostStatus } from '../../../crds/linux-utility-vm-host.ts';
import { nextHostStatus } from '../../../operator/controller/status/host-status.ts';
import { nextStatus, type StatusInputs } from '../../../operator/controller/status/status.ts';
import { transitions } from '../../../operator/controller/status/transitions.ts';
import { writeNeed } from '../../../operator/controller/status/write-need.ts';
import {
  type HostFacts,
  machinePhases,
  type ObservedVirtualMachine,
  observedConditionTypes,
} from '../../../protocol/messages.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine, someHost } from '../../support/operator/scripted-agent.ts';

const now = Date.parse('2026-05-01T12:00:00Z');
const later = now + 60_000;

function inputs(changes: Partial<StatusInputs> = {}): StatusInputs {
  return {
    object: makeMachine(),
    nodeName: 'node-a',
    scheduled: { reason: 'Scheduled', message: 'placed on node-a' },
    report: undefined,
    disconnected: false,
    blocked: undefined,
    terminating: undefined,
    now,
    ...changes,
  };
}

const reported = (changes: Partial<ObservedVirtualMachine> = {}) => ({
  observed: observedMachine(someUid, { generation: 1, ...changes }),
  failure: undefined,
});
const condition = (status: LinuxUtilityVMStatus, type: string) => status.conditions?.find((each) => each.type === type);
const stored = (status: LinuxUtilityVMStatus) => makeMachine({ status });

describe('the status of a host', () => {
  it('has no empty lists, and loses what its agent no longer reports', () => {
    const told = (facts: Partial<HostFacts>, status: LinuxUtilityVMHostStatus) =>
      nextHostStatus({
        stored: status,
        generation: 1,
        introduction: { agentVersion: '1', facts: { ...someHost, ...facts }, nodeUID: undefined },
        session: undefined,
        connection: 'Connected',
        virtualMachines: { desired: 0, running: 0 },
        now,
      });
    const bootFiles = [{ path: 'C:\\boot', files: [] }];
    const full = told({ isolation: ['SNP'], numaNodes: [], bootFiles }, {});
    expect(full).toMatchObject({ isolation: ['SNP'], bootFiles: [{ path: 'C:\\boot' }] });
    expect(JSON.stringify(full)).not.toMatch(/\[\]/);
    const less = told({ isolation: [], numaNodes: [], bootFiles: [] }, full);
    expect(less).not.toHaveProperty('isolation');
    expect(less).not.toHaveProperty('bootFiles');
  });
});

describe('status', () => {
  it('keeps the conditions that others have added', () => {
    const foreign = {
      type: 'example.com/Backup',
      status: 'True',
      reason: 'Done',
      message: '',
      lastTransitionTime: 'x',
    };
    const before = nextStatus(inputs({ report: reported() }));
    const object = stored({ ...before, conditions: [foreign as never, ...(before.conditions ?? [])] });
    const after = nextStatus(inputs({ object, report: reported() }));
    expect(after.conditions).toEqual([...(before.conditions ?? []), foreign]);
    // The operator's own conditions still end with their cause.
    const paused = makeMachine({ status: before, metadata: { annotations: { 'lcow.dev/paused': 'true' } } });
    const held = nextStatus(inputs({ object: paused, report: reported() }));
    expect(condition(held, 'Paused')).toBeDefined();
    expect(condition(nextStatus(inputs({ object: stored(held), report: reported() })), 'Paused')).toBeUndefined();
  });

  it('has no empty lists or objects, which kubectl describe shows as headings', () => {
    const empty = {
      bootTimings: {},
      devices: { vpmem: [], scsi: [], assigned: [] },
      guest: { osType: 'linux', protocolVersion: 4, capabilities: [] },
      guestLog: { head: [], tail: [], total: 0, dropped: 0 },
    };
    const text = JSON.stringify(nextStatus(inputs({ report: reported(empty) })));
    expect(text).not.toMatch(/\[\]|\{\}/);
    expect(text).toContain('"guest":{"osType":"linux","protocolVersion":4}');
  });

  it('has an Event when a VM is paused, with and without a host', () => {
    const running = nextStatus(inputs({ report: reported() }));
    const annotations = { 'lcow.dev/paused': 'true' };
    const held = makeMachine({ status: running, metadata: { annotations } });
    const paused = nextStatus(inputs({ object: held, report: reported(), now: later }));
    expect(transitions(running, paused)).toEqual([expect.objectContaining({ type: 'Normal', reason: 'Paused' })]);
    expect(transitions(paused, paused)).toEqual([]);
    const unplaced = { nodeName: undefined, scheduled: { reason: 'Paused', message: 'paused' } } as const;
    const waiting = nextStatus(inputs({ object: makeMachine({ metadata: { annotations } }), ...unplaced }));
    expect(transitions({}, waiting).map(({ reason }) => reason)).toEqual(['Paused']);
  });

  it('begins with the placement, and takes over what the agent reports', () => {
    const placed = nextStatus(inputs());
    expect(placed).toMatchObject({ phase: 'Scheduled', nodeName: 'node-a', observedGeneration: 0 });
    expect(condition(placed, 'Ready')).toMatchObject({ status: 'False', reason: 'Preparing' });
    const running = nextStatus(inputs({ object: stored(placed), report: reported() }));
    expect(running).toMatchObject({
      phase: 'Running',
      observedGeneration: 1,
      systemID: `luvm-${someUid}`,
      restarts: 0,
    });
    expect(running.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Scheduled=True',
      'Prepared=True',
      'Created=True',
      'GuestConnected=True',
      'Ready=True',
    ]);
    expect(condition(running, 'Scheduled')?.lastTransitionTime).toBe('2026-05-01T12:00:00Z');
  });

  it('stamps a transition only when a status changes', () => {
    const running = nextStatus(inputs({ report: reported() }));
    const again = nextStatus(inputs({ object: stored(running), report: reported(), now: later }));
    expect(again).toEqual(running);
    const failing = reported({
      conditions: [{ type: 'Ready', status: 'False', reason: 'BackOff', message: 'again later' }],
    });
    const failed = nextStatus(inputs({ object: stored(running), report: failing, now: later }));
    expect(condition(failed, 'Ready')?.lastTransitionTime).toBe('2026-05-01T12:01:00Z');
    expect(condition(failed, 'Scheduled')?.lastTransitionTime).toBe('2026-05-01T12:00:00Z');
  });

  it('shows facts that only the agent knows as Unknown, never False, while it is away, and keeps the rest', () => {
    const running = nextStatus(inputs({ report: reported() }));
    const away = nextStatus(inputs({ object: stored(running), disconnected: true, now: later }));
    expect(away).toMatchObject({
      phase: 'Unknown',
      nodeName: 'node-a',
      systemID: running.systemID,
      guestLog: running.guestLog,
    });
    expect(away.conditions?.map(({ type, status }) => `${type}=${status}`)).toEqual([
      'Scheduled=True',
      'Prepared=Unknown',
      'Created=Unknown',
      'GuestConnected=Unknown',
      'Ready=Unknown',
    ]);
    expect(nextStatus(inputs({ object: stored(away), disconnected: true, now: later + 1e6 }))).toEqual(away);
  });

  it('does not change between the end of a session and 60 s after it', () => {
    const running = nextStatus(inputs({ report: reported() }));
    expect(nextStatus(inputs({ object: stored(running), now: later }))).toEqual(running);
  });

  it('never goes back to an older generation', () => {
    const object = makeMachine({ metadata: { generation: 3 } });
    const running = nextStatus(inputs({ object, report: reported({ generation: 3 }) }));
    expect(running.observedGeneration).toBe(3);
    const told = { ...object, status: running };
    expect(nextStatus(inputs({ object: told, report: reported({ generation: 2 }) })).observedGeneration).toBe(3);
  });

  it('does not show a future generation, which an agent can know after a restore', () => {
    const running = nextStatus(inputs({ report: reported({ generation: 1 }) }));
    const report = reported({ generation: 5 });
    expect(nextStatus(inputs({ object: stored(running), report })).observedGeneration).toBe(1);
    const ahead = stored({ ...running, observedGeneration: 5 });
    expect(nextStatus(inputs({ object: ahead, report })).observedGeneration).toBe(1);
  });

  it('keeps what is known when a report leaves it out', () => {
    const running = nextStatus(inputs({ report: reported({ restarts: 4, runtimeID: 'r' }) }));
    const { generation, startTime, systemID, ...amnesia } = observedMachine(someUid, {
      generation: 1,
      phase: 'Unknown',
    });
    const after = nextStatus(inputs({ object: stored(running), report: { observed: amnesia, failure: undefined } }));
    expect(after).toMatchObject({
      restarts: 4,
      runtimeID: 'r',
      startTime: running.startTime,
      systemID: running.systemID,
    });
  });

  it('stalls on what only a changed manifest can repair, and not on what can pass', () => {
    const invalid = nextStatus(
      inputs({ nodeName: undefined, blocked: { reason: 'InvalidSpec', message: 'spec.memory' } }),
    );
    expect(condition(invalid, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'InvalidSpec',
      message: 'spec.memory',
    });
    expect(condition(invalid, 'Stalled')).toMatchObject({ status: 'True', reason: 'InvalidSpec' });
    expect(invalid).toMatchObject({ phase: 'Pending', observedGeneration: 1 });
    const missing = nextStatus(
      inputs({ nodeName: undefined, blocked: { reason: 'ReferenceUnreadable', message: 'x' } }),
    );
    expect(condition(missing, 'Stalled')).toBeUndefined();
  });

  it('shows that a report could not be read, and keeps the last good one', () => {
    const failure = { uid: someUid, reason: 'ProtocolError', message: 'phase: invalid' } as const;
    const status = nextStatus(inputs({ report: { ...reported(), failure } }));
    expect(condition(status, 'Ready')).toMatchObject({ status: 'False', reason: 'ProtocolError' });
    expect(status.systemID).toBe(`luvm-${someUid}`);
  });

  it('keeps the history of a VM that left its host, and nothing that it had there', () => {
    const running = nextStatus(inputs({ report: reported({ restarts: 2 }) }));
    const moved = nextStatus(
      inputs({ object: stored(running), nodeName: undefined, scheduled: { reason: 'NoHostFits', message: 'm' } }),
    );
    expect(moved).toMatchObject({ phase: 'Pending', restarts: 2, startTime: running.startTime });
    expect(moved.systemID).toBeUndefined();
    expect(condition(moved, 'Created')).toBeUndefined();
  });

  it('repairs what the API server would refuse: a slot reported twice, a size out of bounds, long messages', () => {
    const status = nextStatus(
      inputs({
        report: reported({
          processorCount: -1,
          memorySizeInMB: 2 ** 50,
          lastExit: { type: 'UnexpectedExit', time: '2026-01-01T00:00:00Z', message: 'x'.repeat(2_048) },
          devices: {
            vpmem: [
              { slot: 0, path: 'a' },
              { slot: 0, path: 'b' },
            ],
            scsi: [],
            assigned: [],
          },
        }),
      }),
    );
    expect(linuxUtilityVMStatus.safeParse(status).error).toBeUndefined();
    expect(status.devices?.vpmem).toEqual([{ slot: 0, path: 'b' }]);
  });
});

describe('write rules', () => {
  const running = nextStatus(inputs({ report: reported() }));

  it('writes nothing when nothing or only the log changed', () => {
    expect(writeNeed({ status: running }, running)).toEqual({ kind: 'None' });
    const logged = reported({ guestLog: { head: ['1', '2', '3', '4', '5'], tail: ['99'], total: 99, dropped: 3 } });
    expect(writeNeed({ status: running }, nextStatus(inputs({ object: stored(running), report: logged })))).toEqual({
      kind: 'None',
    });
  });

  it('writes the first lines of a boot', () => {
    const booting = nextStatus(
      inputs({ report: reported({ guestLog: { head: ['1'], tail: [], total: 1, dropped: 0 } }) }),
    );
    const more = nextStatus(inputs({ object: stored(booting), report: reported() }));
    expect(writeNeed({ status: booting }, more)).toEqual({
      kind: 'WhenLasting',
      what: 'log head',
      milliseconds: 2_000,
    });
    const tail = { ...booting, guestLog: { ...booting.guestLog, tail: ['x'] } };
    expect(writeNeed({ status: booting }, tail)).toEqual({ kind: 'None' });
  });

  it.each(['Staging', 'Creating', 'Starting', 'Stopping', 'Unknown'] as const)(
    'delays %s, in case it does not last',
    (phase) => {
      const next = nextStatus(inputs({ object: stored(running), report: reported({ phase }) }));
      expect(writeNeed({ status: running }, next)).toEqual({
        kind: 'WhenLasting',
        what: `phase ${phase}`,
        milliseconds: 2_000,
      });
      const placed = nextStatus(inputs());
      const first = nextStatus(inputs({ object: stored(placed), report: reported({ phase }) }));
      expect(writeNeed({ status: placed }, first)).toEqual({ kind: 'WhenLasting', what: 'boot', milliseconds: 5_000 });
    },
  );

  it.each(['Running', 'Stopped', 'Failed'] as const)('writes %s at once', (phase) => {
    const creating = nextStatus(inputs({ report: reported({ phase: 'Creating' }) }));
    expect(
      writeNeed({ status: creating }, nextStatus(inputs({ object: stored(creating), report: reported({ phase }) }))),
    ).toEqual({
      kind: 'Now',
    });
  });

  it("writes the operator's decisions at once, and a termination only if it lasts", () => {
    expect(writeNeed({ status: {} }, nextStatus(inputs())).kind).toBe('Now');
    expect(
      writeNeed({ status: running }, nextStatus(inputs({ object: stored(running), disconnected: true }))).kind,
    ).toBe('Now');
    const terminating = { reason: 'Terminating', message: 'waiting' } as const;
    expect(
      writeNeed({ status: running }, nextStatus(inputs({ object: stored(running), report: reported(), terminating })))
        .kind,
    ).toBe('WhenLasting');
  });

  it('explains at low priority why a VM has no host, and again only when the kinds of reasons change', () => {
    const unplaced = (message: string, changes: Partial<StatusInputs> = {}) => {
      const scheduled = { reason: 'NoHostFits', message };
      return nextStatus(inputs({ nodeName: undefined, scheduled, ...changes }));
    };
    const first = unplaced('0/3 hosts fit: 2 node cordoned, 1 insufficient memory; for example a (node cordoned)');
    const needOf = (message: string, changes: Partial<StatusInputs> = {}) =>
      writeNeed({ status: first }, unplaced(message, { object: stored(first), ...changes })).kind;
    expect(writeNeed({ status: {} }, first).kind).toBe('AtLowPriority');
    expect(needOf('0/9 hosts fit: 7 insufficient memory, 2 node cordoned; for example z (insufficient memory)')).toBe(
      'None',
    );
    expect(needOf('0/3 hosts fit: 3 node cordoned; for example a (node cordoned)')).toBe('AtLowPriority');
    const edited = makeMachine({ status: first, metadata: { generation: 2 } });
    expect(writeNeed(edited, unplaced('0/3 hosts fit: 3 node cordoned', { object: edited })).kind).toBe(
      'AtLowPriority',
    );
    const blocked = { reason: 'ReferenceUnreadable', message: 'ConfigMap policies cannot be read' } as const;
    expect(needOf('0/3 hosts fit: 2 node cordoned, 1 insufficient memory', { blocked })).toBe('AtLowPriority');
    expect(
      writeNeed({ status: first }, nextStatus(inputs({ object: stored(first) }))).kind, // placed
    ).toBe('Now');
  });

  it('waits for hosts to list their VMs, and then reports at low priority that they do not', () => {
    const pending = (count: number, name: string) => ({
      reason: 'InventoryPending',
      message: `it may run already: ${count} hosts have not yet listed their VMs, for example ${name}`,
    });
    const next = nextStatus(inputs({ nodeName: undefined, scheduled: pending(3, 'a, b, c') }));
    expect(writeNeed({ status: {} }, next)).toMatchObject({ kind: 'WhenLasting', lowPriority: true });
    const fewer = nextStatus(inputs({ object: stored(next), nodeName: undefined, scheduled: pending(1, 'b') }));
    expect(writeNeed({ status: next }, fewer).kind).toBe('None');
  });

  it('is complete after one write, whatever agents report, and always satisfies the CRD', () => {
    const text = fc.string({ maxLength: 20 });
    const observed = fc.record({
      phase: fc.constantFrom(...machinePhases),
      restarts: fc.nat(),
      generation: fc.option(fc.nat({ max: 5 }), { nil: undefined }),
      conditions: fc.array(
        fc.record({
          type: fc.constantFrom(...observedConditionTypes),
          status: fc.constantFrom('True' as const, 'False' as const, 'Unknown' as const),
          reason: fc.constantFrom('Running', 'BackOff', 'Failed'),
          message: text,
        }),
        { maxLength: 8 },
      ),
      warnings: fc.array(text, { maxLength: 3 }),
    });
    const situation = fc.record({
      first: observed,
      second: observed,
      disconnected: fc.boolean(),
      placed: fc.boolean(),
    });
    fc.assert(
      fc.property(situation, ({ first, second, disconnected, placed }) => {
        const machine = ({ generation, ...rest }: typeof first) => ({
          observed: observedMachine(someUid, { ...rest, ...(generation === undefined ? {} : { generation }) }),
          failure: undefined,
        });
        const before = nextStatus(inputs({ report: machine(first) }));
        const changes = { report: machine(second), disconnected, nodeName: placed ? 'node-a' : undefined, now: later };
        const after = nextStatus(inputs({ ...changes, object: stored(before) }));
        expect(linuxUtilityVMStatus.safeParse(after).success).toBe(true);
        expect(after.observedGeneration ?? 0).toBeGreaterThanOrEqual(placed ? (before.observedGeneration ?? 0) : 0);
        const settled = nextStatus(inputs({ ...changes, object: stored(after), now: later + 1e6 }));
        expect(writeNeed({ status: after }, settled)).toEqual({ kind: 'None' });
        expect(transitions(after, settled)).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});

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
