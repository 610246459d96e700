// When the operator writes the status of a VM.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { nextStatus, type StatusInputs } from '../../../operator/controller/status/status.ts';
import { transitions } from '../../../operator/controller/status/transitions.ts';
import { writeNeed } from '../../../operator/controller/status/write-need.ts';
import { machinePhases, observedConditionTypes } from '../../../protocol/messages.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';
import { inputs, later, reported, stored } from '../../support/operator/status-inputs.ts';

describe('the status of a VM', () => {
  const running = nextStatus(inputs({ report: reported() }));

  it('is not written when nothing or only the log changed', () => {
    expect(writeNeed({ status: running }, running)).toEqual({ kind: 'None' });
    const logged = reported({ guestLog: { head: ['1', '2', '3', '4', '5'], tail: ['99'], total: 99, dropped: 3 } });
    expect(writeNeed({ status: running }, nextStatus(inputs({ object: stored(running), report: logged })))).toEqual({
      kind: 'None',
    });
  });

  it('is written for the first lines of a boot', () => {
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
    'is written for %s only if that lasts',
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

  it.each(['Running', 'Stopped', 'Failed'] as const)('is written at once for %s', (phase) => {
    const creating = nextStatus(inputs({ report: reported({ phase: 'Creating' }) }));
    expect(
      writeNeed({ status: creating }, nextStatus(inputs({ object: stored(creating), report: reported({ phase }) }))),
    ).toEqual({
      kind: 'Now',
    });
  });

  it("is written at once for the operator's decisions, and for a termination only if it lasts", () => {
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

  it('explains at low priority why there is no host, and again only when the kinds of reasons change', () => {
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

  it('is written at low priority when hosts take long to list their VMs', () => {
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
