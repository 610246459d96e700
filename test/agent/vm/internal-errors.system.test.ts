// Internal errors: the life of one VM begins again, and other VMs are not affected.
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { AgentTally } from '../../../agent/metrics/tally.ts';
import type { HcsBackend } from '../../../agent/node/backend.ts';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { type AgentCore, type CoreNode, condition, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const systemID = systemIdOf(uid);
const neighbours = [randomUUID(), randomUUID()];

async function runNeighbours(core: AgentCore): Promise<readonly (string | undefined)[]> {
  for (const [index, each] of neighbours.entries()) {
    await core.supervisor.assign(makeAssignment({ uid: each, name: `neighbour-${index}` }));
    await core.until(each, 'running', isRunning);
  }
  return runtimeIDs(core);
}

const runtimeIDs = (core: AgentCore) => neighbours.map((each) => core.observed(each).runtimeID);
const isResting = (observed: ObservedVirtualMachine) => condition(observed, 'Stalled')?.reason === 'InternalError';

/** A node on which every call for the VM passes through `fault` first. */
function faultyNode(node: TestNode, fault: (call: keyof HcsBackend, id: string) => void): CoreNode {
  return {
    folder: node.folder,
    async connect() {
      const connection = await node.connect();
      const { backend } = connection;
      const faulty: HcsBackend = {
        processorTopology: () => backend.processorTopology(),
        enumerate: () => backend.enumerate(),
        async create(id, document, begun) {
          fault('create', id);
          return await backend.create(id, document, begun);
        },
        async open(id) {
          fault('open', id);
          return await backend.open(id);
        },
        grantVmAccess: (id, path) => backend.grantVmAccess(id, path),
        revokeVmAccess: (id, path) => backend.revokeVmAccess(id, path),
        close: () => backend.close(),
      };
      return { ...connection, backend: faulty, close: () => connection.close() };
    },
  };
}

describe('an internal error in a step of one VM', () => {
  it('is reported and counted, pauses the VM after five times until it is changed, and affects no other VM', async () => {
    await using node = await startNode();
    const tally = new AgentTally();
    let isFaulty = true;
    const faulty = faultyNode(node, (call, id) => {
      if (isFaulty && call === 'create' && id === systemID) throw new TypeError('planted');
    });
    await using core = await startCore(faulty, { tally });
    const before = await runNeighbours(core);
    await core.supervisor.assign(makeAssignment());
    const resting = await core.until(uid, 'resting', isResting);
    expect(condition(resting, 'Ready')).toMatchObject({ status: 'False', reason: 'InternalError' });
    expect(condition(resting, 'Ready')?.message).toContain('planted');
    expect(tally.internalErrors).toBe(5);
    expect((await node.control.visits()).filter(({ system }) => system === systemID)).toEqual([]);
    // What the status remembers is not a change of the VM.
    await core.supervisor.assign(makeAssignment({ remembered: { restarts: 1 } }));
    expect(isResting(core.observed(uid))).toBe(true);
    isFaulty = false;
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    await core.until(uid, 'running', isRunning);
    expect(tally.internalErrors).toBe(5);
    expect(runtimeIDs(core)).toEqual(before);
  });

  it('does not prevent the removal of the VM', async () => {
    await using node = await startNode();
    const faulty = faultyNode(node, (call, id) => {
      if (call === 'create' && id === systemID) throw new RangeError('planted');
    });
    await using core = await startCore(faulty);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'resting', isResting);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
  });
});

describe('an internal error outside the steps of one VM', () => {
  it('in the handling of its log leaves it running: the same compute system, and a log without a gap', async () => {
    await using node = await startNode();
    const tally = new AgentTally();
    let isFaulty = false;
    const openGuestOutput = () => () => {
      if (!isFaulty) return;
      isFaulty = false;
      throw new TypeError('planted');
    };
    await using core = await startCore(node, { tally, guestLog: { openGuestOutput } });
    await core.supervisor.assign(makeAssignment());
    const before = await core.until(uid, 'running', isRunning);
    isFaulty = true;
    await until('begun again', () => tally.internalErrors === 1);
    const after = await core.until(uid, 'running', isRunning);
    expect(after.runtimeID).toBe(before.runtimeID);
    expect(after.restarts).toBe(0);
    const steps = (await node.control.visits()).map(({ step }) => step);
    expect(steps.filter((step) => step === 'terminate' || step === 'log')).toEqual(['log']);
  });

  it('in the handling of its log does not hide that the compute service is gone', async () => {
    await using node = await startNode();
    let isFaulty = false;
    const openGuestOutput = () => () => {
      if (!isFaulty) return;
      isFaulty = false;
      throw new TypeError('planted');
    };
    await using core = await startCore(node, { guestLog: { openGuestOutput } });
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'running', isRunning);
    await node.control.script({ at: 'enumerate', fail: { hresult: '0x8037011e' } });
    isFaulty = true;
    await until('lost', () => core.serviceLost);
    expect(core.observed(uid).phase).toBe('Unknown');
  });

  it('in a listener for reports affects only that listener', async () => {
    await using node = await startNode();
    let isFaulty = true;
    const listener = {
      changed(changed: string) {
        if (isFaulty && changed === uid) throw new Error('planted');
      },
      removed: () => undefined,
    };
    await using core = await startCore(node, { listener });
    const before = await runNeighbours(core);
    await core.supervisor.assign(makeAssignment());
    await core.until(uid, 'resting', isResting);
    isFaulty = false;
    await core.supervisor.assign(makeAssignment({ generation: 2 }));
    await core.until(uid, 'running', isRunning);
    expect(runtimeIDs(core)).toEqual(before);
  });
});
