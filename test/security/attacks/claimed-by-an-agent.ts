// The agent of one node, or someone who stole its token, knows the uid of a confidential VM of another namespace that
// has no host, and claims to have it. The agent must get no data of the VM, and must not prevent its placement or
// deletion.

import { observedMachine, someHost } from '../../support/operator/scripted-agent.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { StandIn } from '../stand-in.ts';

const name = 'claimed-by-an-agent';
const namespace = name;
const node = 'win-2019-a';
const policy = Buffer.from('package policy').toString('base64');

async function create(target: RunningSystem): Promise<string> {
  const spec = { nodeSelector: { rack: 'none' }, confidential: { securityPolicy: policy } };
  const manifest = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name, namespace }, spec };
  await target.kubectl(['create', 'namespace', namespace]);
  await target.kubectl(['create', '-f', '-'], JSON.stringify(manifest));
  await target.kubectl(['wait', '--for=jsonpath={.status.phase}=Pending', `luvm/${name}`, '-n', namespace]);
  return target.kubectl(['get', 'luvm', name, '-n', namespace, '-o', 'jsonpath={.metadata.uid}']);
}

async function attack(target: RunningSystem): Promise<Finding> {
  const victim = (await create(target)).trim();
  try {
    return await claim(target, victim);
  } finally {
    await target.kubectl(['delete', 'namespace', namespace, '--ignore-not-found', '--timeout=60s']);
  }
}

async function claim(target: RunningSystem, victim: string): Promise<Finding> {
  await using standIn = await StandIn.of(target, node);
  const { agent } = standIn;
  agent.onRelease = () => {}; // keeps a VM that it is told to remove
  // Once in the hello, with huge memory and SNP, and once as a report.
  agent.machines.set(victim, observedMachine(victim, { generation: 1 }));
  await standIn.dial();
  agent.hello({ ...someHost, memoryInMB: 2 ** 53 - 1 });
  await target.until('the agent is told to give it up', async () => agent.receivedOf('release').length > 0);
  agent.observe(observedMachine(victim, { generation: 2 ** 40, phase: 'Starting' }));
  const began = performance.now();
  await target.kubectl(['delete', 'luvm', name, '-n', namespace, '--timeout=30s']);
  const took = Math.round(performance.now() - began);
  const told = JSON.stringify(agent.received.filter(({ type }) => type !== 'release'));
  if (told.includes(victim) || told.includes(policy)) return broken('the agent was sent something of the VM');
  return held(`the agent was sent one release and nothing else of the VM; its deletion took ${took} ms`);
}

export const claimedByAnAgent: Attack = {
  name,
  party: 'agent',
  promise: 'An agent that claims a VM which cannot be on its host gets no data of that VM.',
  short: true,
  run: attack,
};
