// Assignments and intents, from the operator's message to the VM.
import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { systemIdOf } from '../../../agent/node/system-id.ts';
import { optionsDigest, sha256Hex } from '../../../protocol/digest.ts';
import { intentsCapability } from '../../../protocol/intent.ts';
import type { Element } from '../../../protocol/messages.ts';
import { makeAssignment, someUid as uid } from '../../support/agent/assignments.ts';
import { isRunning, startLinked, welcome, welcomed } from '../../support/agent/linked-agent.ts';

describe('an assignment', () => {
  const refusedWith =
    (reason: string) =>
    ({ virtualMachine }: { virtualMachine: Element }) =>
      JSON.stringify(virtualMachine['conditions'] ?? []).includes(`"${reason}"`);

  it('with an unknown option fails only its own VM', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const other = { ...makeAssignment(), uid: randomUUID() };
    const unknown = { ...makeAssignment(), options: { FutureOption: true } };
    session.send({ type: 'desired', epoch: 1, virtualMachines: [unknown, other], last: true });
    await session.next(
      'observed',
      ({ virtualMachine }) => virtualMachine.uid === other.uid && isRunning({ virtualMachine }),
    );
    const { virtualMachine } = await session.next('observed', refusedWith('UnsupportedByAgent'));
    expect(JSON.stringify(virtualMachine)).toContain('FutureOption');
  });

  it('with an unknown option still halts the VM, which keeps its options', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    const unknown = makeAssignment({ generation: 2, runStrategy: 'Halted' });
    session.send({
      type: 'assign',
      epoch: 1,
      virtualMachine: { ...unknown, options: { FutureOption: true } } as never,
    });
    const isHalted = ({ virtualMachine }: { virtualMachine: Element }) => virtualMachine['phase'] === 'Stopped';
    const { virtualMachine } = await session.next('observed', isHalted);
    expect(refusedWith('UnsupportedByAgent')({ virtualMachine })).toBe(true);
    expect(virtualMachine['generation']).toBe(2);
  });

  it('without options (an intent) is followed with the options that the VM has', async () => {
    await using linked = await startLinked();
    const session = await linked.operator.session(0);
    expect((await session.hello()).capabilities).toContain(intentsCapability);
    session.send(welcome(1));
    const {
      options,
      optionsDigest: _,
      updateStrategy,
      ...intent
    } = makeAssignment({ generation: 2, restartedAt: 'now' });
    session.send({ type: 'assign', epoch: 1, virtualMachine: makeAssignment() });
    await session.next('observed', isRunning);
    session.send({ type: 'intent', epoch: 1, virtualMachine: intent });
    const isAgain = (message: { virtualMachine: Element }) =>
      isRunning(message) && message.virtualMachine['restartedAt'] === 'now';
    expect((await session.next('observed', isAgain)).virtualMachine).toMatchObject({ generation: 2, restarts: 1 });
  });

  it('whose options do not match its digest is refused', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const changed = { ...makeAssignment(), options: { MemorySizeInMB: 2 } };
    session.send({ type: 'assign', epoch: 1, virtualMachine: changed });
    await session.next('observed', refusedWith('ProtocolError'));
    expect(await linked.node.control.systems()).toEqual([]);
  });

  it('gets its policy from an earlier message, by its digest', async () => {
    await using linked = await startLinked();
    const session = await welcomed(linked);
    const policy = Buffer.from('package policy').toString('base64');
    const digest = optionsDigest({ SecurityPolicy: policy });
    const assignment = { ...makeAssignment({ optionsDigest: digest }), policySHA256: sha256Hex(policy) };
    session.send({ type: 'assign', epoch: 1, virtualMachine: assignment });
    await session.next('observed', refusedWith('ProtocolError'));
    session.send({ type: 'policy', sha256: sha256Hex(policy), policy });
    session.send({ type: 'assign', epoch: 1, virtualMachine: assignment });
    await session.next('observed', isRunning);
    expect((await linked.node.control.system(systemIdOf(uid)))?.guest?.securityPolicy).toBe(policy);
  });
});
