// Confidential VMs on a simulated node: staged boot files, and the policy that the guest gets.
import { mkdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { condition, hasReason, isRunning, startCore } from '../../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { expectNothingLeft } from '../../support/agent/nothing-left.ts';
import { bootFolder, defaultHost, startNode } from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

describe('a confidential VM', () => {
  const files = {
    ...defaultHost.files,
    [`${bootFolder}\\kernel.vmgs`]: 4096,
    [`${bootFolder}\\rootfs.vhd`]: 8192,
  };
  const policy = Buffer.from('package policy').toString('base64');
  const options = { SecurityPolicy: policy, SecurityPolicyEnabled: true };

  it('gets staged copies of its boot files, which are removed with it', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await mkdir(`${node.folder}/agent`, { recursive: true });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'running', isRunning);
    expect(observed.policyDigest).toBeDefined();
    const staged = (await node.control.files()).map(({ path }) => path).filter((path) => path.includes(uid));
    expect(staged).toHaveLength(2);
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });

  it('is sent the policy together with the reference measurements of the default boot folder', async () => {
    const reference = `${bootFolder}\\reference_info.cose`;
    await using node = await startNode({ files: { ...files, [reference]: 100 }, isolation: ['SNP'] });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    await core.until(uid, 'running', isRunning);
    const sent = (await node.control.system(systemIdOf(uid)))?.guest;
    expect(sent?.securityPolicy).toBe(policy);
    expect(sent?.uvmReference).toBe(Buffer.alloc(100, reference.toLowerCase()).toString('base64'));
    expect(sent?.uvmHashEnvelopeReference).toBeUndefined();
  });

  it('stalls with the message of a guest that refuses the policy, and boots with a policy that the guest accepts', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    const words = 'Security policy digest doesnt match HostData provided in launch document';
    const rule = await node.control.script({ at: 'guestModify', fail: { message: words }, times: 'always' });
    await using core = await startCore(node, { timeouts: { backOffMaximum: 600_000 } });
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(
      uid,
      'refused',
      (each) => hasReason('PolicyRefused')(each) && each.phase === 'Failed',
    );
    expect(condition(observed, 'Stalled')).toMatchObject({ status: 'True', reason: 'PolicyRefused' });
    expect(condition(observed, 'Stalled')?.message).toBe(
      `the guest refused the security policy: guest RPC failure: ${words}`,
    );
    expect((await node.control.visits()).filter(({ step }) => step === 'create')).toHaveLength(1);
    await node.control.release(rule);
    const other = { ...options, SecurityPolicy: Buffer.from('package other').toString('base64') };
    await core.supervisor.assign(makeAssignment({ generation: 2, options: other }));
    await core.until(uid, 'running', isRunning);
    expect((await node.control.system(systemIdOf(uid)))?.guest?.securityPolicy).toBe(other.SecurityPolicy);
  });

  it('does not start while its reference measurements cannot be read', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await node.control.script({ at: 'read', fail: { message: 'Access is denied.' }, times: 3 });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'unreadable', hasReason('HostQueryFailed'));
    expect(condition(observed, 'Ready')?.message).toContain('uvmReferenceInfoFile cannot be read: Access is denied.');
    await core.until(uid, 'running', isRunning);
  });

  it('leaves nothing behind when a copy or a grant fails, and never boots without isolation', async () => {
    await using node = await startNode({ files, isolation: ['SNP'] });
    await node.control.script({ at: 'grant', fail: { message: 'Access is denied.' }, times: 'always' });
    await using core = await startCore(node);
    await core.supervisor.assign(makeAssignment({ options }));
    const observed = await core.until(uid, 'failed', hasReason('StagingFailed'));
    expect(condition(observed, 'Ready')?.message).toContain('failed to grant VM group access ALL: Access is denied.');
    expect(await node.control.visits()).not.toContainEqual(expect.objectContaining({ step: 'create' }));
    core.supervisor.release(uid);
    await until('removed', () => core.removed.has(uid));
    await expectNothingLeft(node);
  });
});
