// How often the status of one VM is written, however often it is reported.
import { describe, expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { NodeWrites } from '../../../operator/controller/status/node-writes.ts';
import { Pacing } from '../../../operator/controller/status/pacing.ts';
import { nextStatus, type StatusInputs } from '../../../operator/controller/status/status.ts';
import { StatusWriter, statusRate } from '../../../operator/controller/status/status-writer.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { ResourceClient } from '../../../operator/kubernetes/resource-client.ts';
import { KeyedAllowances } from '../../../operator/queue/keyed-allowances.ts';
import type { Lane } from '../../../operator/queue/work-queue.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeMachine, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';
import { inputs } from '../../support/operator/status-inputs.ts';

/** A writer on an API server that accepts every status. */
function bed() {
  const clock = new ManualClock();
  const machines = new VirtualMachines();
  const written: LinuxUtilityVMStatus[] = [];
  const events: string[] = [];
  const stored = () => {
    const metadata = { ...makeMachine().metadata, resourceVersion: `${written.length + 1}` };
    return { metadata, spec: {}, status: written.at(-1) ?? {} };
  };
  const client = new ResourceClient<VirtualMachine>(
    {
      request: async ({ method, body }) => {
        if (method === 'PUT') written.push(statusOf(body));
        return { ok: true, value: stored() };
      },
    },
    { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', plural: 'linuxutilityvms', parse: parseVirtualMachine },
  );
  const writer = new StatusWriter({
    client,
    machines,
    pacing: new Pacing(clock),
    allowances: new KeyedAllowances(clock, statusRate, 100),
    writes: new NodeWrites(clock, () => 1),
    record: ({ reason }) => events.push(reason),
    mayWriteFor: () => true,
    observer: { statusWritten: () => {}, conflict: () => {} },
  });
  return { clock, machines, writer, written, events };
}

function statusOf(body: object | undefined): LinuxUtilityVMStatus {
  return body !== undefined && 'status' in body && typeof body.status === 'object' && body.status !== null
    ? body.status
    : {};
}

const judged = (object: VirtualMachine, changes: Partial<StatusInputs>, now: number) =>
  nextStatus(inputs({ object, now, ...changes }));

const report = (restarts: number, phase: 'Running' | 'Failed') => ({
  report: { observed: observedMachine(someUid, { generation: 1, restarts, phase }), failure: undefined },
});

describe('the status of one VM', () => {
  it('is written five times and then once a second, whatever its agent reports, and its last state is not lost', async () => {
    const { clock, machines, writer, written } = bed();
    let object = makeMachine({ status: judged(makeMachine(), report(0, 'Running'), clock.now()) });
    let reports = 0;
    const begun = clock.now();
    let due = begun;
    while (clock.now() - begun < 12_000) {
      reports += 1;
      const next = judged(object, report(reports, reports % 2 === 0 ? 'Running' : 'Failed'), clock.now());
      const { result } = await writer.write(object, next);
      if (result.kind === 'After') due = clock.now() + result.milliseconds;
      object = machines.get('default/vm') ?? object;
      await clock.advance(15);
    }
    expect(reports).toBeGreaterThan(700);
    expect(written.length).toBeLessThanOrEqual(17);
    expect(written.length).toBeGreaterThanOrEqual(15);
    await clock.advance(Math.max(0, due - clock.now()));
    await writer.write(object, judged(object, report(reports, 'Running'), clock.now()));
    expect(written.at(-1)?.restarts).toBe(reports);
  });

  it('causes less than 1 MB of writes a minute, however much its agent reports', async () => {
    const { clock, machines, writer, written } = bed();
    const scsi = Array.from({ length: 58 }, (_, lun) => ({ controller: 0, lun, path: `C:\\${'x'.repeat(1_000)}` }));
    let object = makeMachine({ status: judged(makeMachine(), report(0, 'Running'), clock.now()) });
    const begun = clock.now();
    for (let restarts = 1; clock.now() - begun < 60_000; restarts += 1) {
      const changes = { generation: 1, restarts, devices: { vpmem: [], scsi, assigned: [] } };
      const observed = observedMachine(someUid, changes);
      await writer.write(object, judged(object, { report: { observed, failure: undefined } }, clock.now()));
      object = machines.get('default/vm') ?? object;
      await clock.advance(100);
    }
    const bytes = written.reduce((sum, status) => sum + JSON.stringify(status).length, 0);
    expect(written.length).toBeGreaterThan(5);
    expect(bytes).toBeLessThan(1_000_000);
  });

  it('is written at once when the operator places or releases the VM, however often it was written before', async () => {
    const { clock, machines, writer, written } = bed();
    let object = makeMachine({ status: judged(makeMachine(), report(0, 'Running'), clock.now()) });
    for (let each = 1; each < 20; each += 1) {
      await writer.write(object, judged(object, report(each, 'Running'), clock.now()));
      object = machines.get('default/vm') ?? object;
    }
    expect(written).toHaveLength(5);
    const released = judged(object, { nodeName: undefined }, clock.now());
    await writer.write(object, released);
    object = machines.get('default/vm') ?? object;
    await writer.write(object, judged(object, { nodeName: 'node-b' }, clock.now()));
    expect(written.map(({ nodeName }) => nodeName).slice(5)).toEqual([undefined, 'node-b']);
  });

  it('is explained only in a low-priority pass', async () => {
    const { clock, machines, writer, written } = bed();
    const scheduled = { reason: 'NoHostFits', message: '0/1 hosts fit: 1 node cordoned' };
    const object = makeMachine();
    machines.remember(object);
    const write = (lane: Lane) =>
      writer.inLane('default/vm', lane, () =>
        writer.write(object, judged(object, { nodeName: undefined, scheduled }, clock.now())),
      );
    expect((await write('Usual')).result).toEqual({ kind: 'AtLowPriority' });
    expect(written).toHaveLength(0);
    expect((await write('Low')).result).toEqual({ kind: 'Done' });
    expect(written).toHaveLength(1);
    expect((await write('Usual')).result).toEqual({ kind: 'AtLowPriority' });
  });
});
