import { describe, expect, it } from 'vitest';
import { type LinuxUtilityVMStatus, linuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import type { LinuxUtilityVMHostStatus } from '../../../crds/linux-utility-vm-host.ts';
import { isProvenUnplaced } from '../../../operator/controller/placement/fleet.ts';
import { nextHostStatus } from '../../../operator/controller/status/host-status.ts';
import { nextStatus } from '../../../operator/controller/status/status.ts';
import { transitions } from '../../../operator/controller/status/transitions.ts';
import type { HostFacts } from '../../../protocol/messages.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine, someHost } from '../../support/operator/scripted-agent.ts';
import { inputs, later, now, reported, stored } from '../../support/operator/status-inputs.ts';

const condition = (status: LinuxUtilityVMStatus, type: string) => status.conditions?.find((each) => each.type === type);

describe('the status of a host', () => {
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

  it('has no empty lists, and loses what its agent no longer reports', () => {
    const bootFiles = [{ path: 'C:\\boot', files: [] }];
    const full = told({ isolation: ['SNP'], numaNodes: [], bootFiles }, {});
    expect(full).toMatchObject({ isolation: ['SNP'], bootFiles: [{ path: 'C:\\boot' }] });
    expect(JSON.stringify(full)).not.toMatch(/\[\]/);
    const less = told({ isolation: [], numaNodes: [], bootFiles: [] }, full);
    expect(less).not.toHaveProperty('isolation');
    expect(less).not.toHaveProperty('bootFiles');
  });

  it('has the networks of the host, and keeps them while its agent cannot read them', () => {
    const nat = { name: 'nat', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a01', type: 'NAT', subnets: ['172.20.0.0/16'] };
    const lan = { ...nat, name: 'lan', id: '7c1e3f52-2f0e-4f2b-9d8f-5a0c1f5b9a02', subnets: [] };
    const before = told({ network: { hnsVersion: '13.2', networks: [nat, lan, nat] } }, {});
    const { subnets: _none, ...lanWithout } = lan;
    expect(before).toMatchObject({ hnsVersion: '13.2', networks: [nat, lanWithout] });
    expect(told({}, before)).toEqual(before);
    const after = told({ network: { hnsVersion: '15.1', networks: [] } }, before);
    expect(after.hnsVersion).toBe('15.1');
    expect(after).not.toHaveProperty('networks');
  });
});

describe('the status of a VM', () => {
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

  it('keeps the exit of a VM, even if it is known only after the teardown', () => {
    const lastExit = { type: 'GracefulExit', time: '2026-05-01T11:00:00Z', message: 'm' } as const;
    const ended = nextStatus(inputs({ report: reported({ lastExit }) }));
    const again = nextStatus(inputs({ object: stored(ended), report: reported() }));
    expect(again.lastExit).toEqual(lastExit);
    const leaving = { nodeName: undefined, scheduled: { reason: 'HostDrained', message: 'm' } } as const;
    expect(nextStatus(inputs({ object: stored(ended), ...leaving })).lastExit).toEqual(lastExit);
    const end = { type: 'ForcedExit', time: '2026-05-01T12:00:00Z', message: 'drained' } as const;
    expect(nextStatus(inputs({ object: stored(ended), ...leaving, end })).lastExit).toEqual(end);
  });

  it('stays at the generation that a paused VM follows', () => {
    const running = nextStatus(inputs({ report: reported() }));
    const annotations = { 'lcow.dev/paused': '1' };
    const object = makeMachine({ status: running, metadata: { generation: 2, annotations } });
    const report = reported({ generation: 2 });
    expect(nextStatus(inputs({ object, report }))).toMatchObject({ observedGeneration: 1 });
    expect(condition(nextStatus(inputs({ object, report })), 'Paused')?.message).toContain(
      'what the manifest asks for waits',
    );
    const released = makeMachine({ status: running, metadata: { generation: 2 } });
    expect(nextStatus(inputs({ object: released, report })).observedGeneration).toBe(2);
  });

  it('proves that a VM has left its host, also if it was paused before it followed anything', () => {
    const metadata = { annotations: { 'lcow.dev/paused': 'true' } };
    const placed = nextStatus(inputs({ object: makeMachine({ metadata }), report: reported({ generation: 0 }) }));
    expect(placed).toMatchObject({ nodeName: 'node-a', observedGeneration: 0 });
    const away = { nodeName: undefined, scheduled: { reason: 'NoHostFits', message: 'node node-a is gone' } } as const;
    const object = makeMachine({ status: placed, metadata });
    expect(isProvenUnplaced(makeMachine({ status: nextStatus(inputs({ object, ...away })), metadata }))).toBe(true);
  });

  it('proves nothing about a paused VM that a host may have', () => {
    const metadata = { annotations: { 'lcow.dev/paused': 'true' } };
    const scheduled = { reason: 'Paused', message: 'paused before it was placed' };
    const waiting = inputs({ object: makeMachine({ metadata }), nodeName: undefined, scheduled, unproven: true });
    expect(isProvenUnplaced(makeMachine({ status: nextStatus(waiting), metadata }))).toBe(false);
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
