// A host without enough memory for a VM: the native backend on the double of computecore.dll.
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { type AgentCore, condition, hasReason, startCore } from '../../support/agent/agent-core.ts';
import { someUid as uid } from '../../support/agent/assignments.ts';
import { startNode, type TestNode } from '../../support/agent/simulated-node.ts';
import { unguestedAssignment, unguestedNode } from '../../support/agent/unguested-node.ts';
import { ComputeCoreDouble, nothingLeft } from '../../support/doubles/computecore.ts';

const win32 = [8, 14, 1450, 1455].map((code) => 0x8007_0000 + code);
const hypervisor = [0xc035_000b, 0xc035_0073, 0xc035_0075];
const memoryDriver = [0xc037_002b, 0xc037_002c, 0xc037_002d, 0xc037_002f];

let double: ComputeCoreDouble;
let node: TestNode;

beforeAll(async () => {
  double = await ComputeCoreDouble.load();
});
beforeEach(async () => {
  node = await startNode();
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
  double.reset();
  expect(double.counts()).toEqual(nothingLeft);
});

/** All reports about the VM, in order. */
async function startTold(): Promise<{ readonly core: AgentCore; readonly told: ObservedVirtualMachine[] }> {
  const told: ObservedVirtualMachine[] = [];
  const tell = () => {
    const observed = core?.supervisor.observe(uid);
    if (observed !== undefined) told.push(observed);
  };
  const listener = { changed: tell, removed: () => undefined };
  let core: AgentCore | undefined;
  core = await startCore(unguestedNode(node, double), { listener });
  return { core, told };
}

describe('a host without enough memory', () => {
  for (const call of ['HcsCreateComputeSystem', 'HcsStartComputeSystem']) {
    it.each([...win32, ...hypervisor, ...memoryDriver].map((code) => [code.toString(16), code] as const))(
      `is recognised, with its message, when ${call} fails with 0x%s`,
      async (hex, value) => {
        const { core, told } = await startTold();
        double.script({ call, action: 'failOperation', value, text: '{"ErrorMessage":"not enough"}' });
        await core.supervisor.assign(unguestedAssignment());
        const failed = await core.until(uid, 'refused', hasReason('InsufficientResources'));
        expect(failed.startedOnHost).toBe(false);
        expect(condition(failed, 'Ready')?.message).toMatch(new RegExp(`${call}: [A-Z_]+ \\(0x${hex}\\): not enough`));
        const running = await core.until(uid, 'running', ({ phase }) => phase === 'Running');
        expect(running.startedOnHost).toBe(true);
        await core.kill();
        expect(told.length).toBeGreaterThan(4);
      },
    );
  }

  it('never reports a VM as created when its creation failed', async () => {
    const { core, told } = await startTold();
    double.script({ call: 'HcsCreateComputeSystem', action: 'failOperation', value: 0x8007_05af });
    await core.supervisor.assign(unguestedAssignment({ runStrategy: 'Once' }));
    await core.until(uid, 'refused', hasReason('InsufficientResources'));
    await core.until(uid, 'at rest', ({ phase }) => phase !== 'Stopping');
    const cleaning = told.filter(({ phase, startFailure }) => phase === 'Stopping' && startFailure?.count === 1);
    expect(cleaning.length).toBeGreaterThan(0);
    for (const each of cleaning) {
      expect(condition(each, 'Created')).toMatchObject({ status: 'False', reason: 'InsufficientResources' });
      expect(each.systemID).toBeUndefined();
    }
    await core.kill();
  });
});
