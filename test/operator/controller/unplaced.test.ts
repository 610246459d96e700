// The placement of VMs without a host: when the API server does not say whether it was written, and when no host fits.
import { expect, it } from 'vitest';
import { readReport } from '../../../operator/agents/report-reading.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Restoration } from '../../../operator/controller/knowledge/restoration.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { Evictions } from '../../../operator/controller/placement/evictions.ts';
import { Fleet } from '../../../operator/controller/placement/fleet.ts';
import { Unplaced } from '../../../operator/controller/unplaced.ts';
import { done, type Result } from '../../../operator/queue/result.ts';
import { makeAssignment } from '../../support/agent/assignments.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeHost, makeMachine, makeNode, someUid } from '../../support/operator/objects.ts';
import { observedMachine } from '../../support/operator/scripted-agent.ts';

function subject(result: Result) {
  const clock = new ManualClock();
  const inventory = new Inventory(clock);
  const hosts = new Map([['here', makeHost('here')]]);
  const nodes = new Map([['here', makeNode('here')]]);
  const machines = new VirtualMachines();
  const restoration = new Restoration(clock);
  inventory.begin('here', [], true);
  inventory.settle('here');
  const evictions = new Evictions(nodes, inventory, clock);
  const fleet = new Fleet({ hosts, nodes, sets: new Map(), inventory, machines, evictions, restoration });
  const object = makeMachine({ spec: { memory: { sizeInMB: 40_000 } } });
  const unplaced = new Unplaced({
    machines,
    inventory,
    fleet,
    restoration,
    instructions: {
      of: async () => ({
        ok: true,
        desired: { assignment: makeAssignment(), policy: undefined },
        references: 'None',
      }),
    },
    obstacles: { judged: () => undefined },
    writes: { hold: async () => object, status: async () => ({ object: undefined, result }) },
    toldHost: () => undefined,
  });
  return { clock, evictions, fleet, inventory, object, unplaced };
}

it('its room stays promised until a pass ends that knows more', async () => {
  const retry: Result = { kind: 'Retry', error: 'no answer' };
  const { fleet, object, unplaced } = subject(retry);
  if (!object.spec.ok) throw new Error(object.spec.message);
  const spec = object.spec.value;
  expect(await unplaced.reconcile(object)).toEqual({ result: retry });
  // The write may have taken effect.
  expect(fleet.couldPlace('another', spec)).toBe(false);
  // The next pass chooses again: what it had assumed itself is not in its way.
  expect(await unplaced.reconcile(object)).toEqual({ result: retry });
  fleet.settle(someUid);
  expect(fleet.couldPlace('another', spec)).toBe(true);
});

// Seed 11 of the simulation found that nobody looked again.
it('is tried again on a host that lacked resources, although nothing happens', async () => {
  const { clock, evictions, inventory, object, unplaced } = subject(done);
  const { startTime: _, ...neverStarted } = observedMachine(someUid, {
    phase: 'Failed',
    conditions: [{ type: 'Created', status: 'False', reason: 'InsufficientResources', message: 'no memory' }],
  });
  inventory.begin('here', [readReport(neverStarted)], true);
  expect(evictions.of(object, 'here', () => true).kind).toBe('Move');
  inventory.begin('here', [], true);
  inventory.settle('here');
  await clock.advance(60_000);
  expect(await unplaced.reconcile(object)).toEqual({ result: { kind: 'After', milliseconds: 540_001 } });
  await clock.advance(540_001);
  expect(evictions.lackingFor(someUid)).toEqual([]);
});
