// The test scenarios for an agent under wine.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { win32 } from 'node:path';
import { freePort } from '../support/processes/free-port.ts';
import { until } from '../support/until.ts';
import type { AgentUnderWine } from '../support/wine/agent-under-wine.ts';
import type { WindowsProgram } from '../support/wine/windows.ts';
import type { Report } from './report.ts';

/** Starts a VM and removes it again. */
async function bringToReady(bed: AgentUnderWine, agent: WindowsProgram, report: Report): Promise<void> {
  await report.test('connects to the operator over TLS with its token', () => bed.connected(agent));
  await report.test('brings the example to Ready, with its status', async () => {
    await bed.example('ordinary');
    const { metadata, status } = await bed.running('ordinary', agent, (found) =>
      (found.status.guestLog?.head ?? []).some((line) => line.includes('GCS started')),
    );
    assert.equal(status.nodeName, bed.nodeName);
    assert.equal(status.memorySizeInMB, 1024);
    assert.equal(status.restarts, 0);
    const system = bed.guests.state?.systems.find(({ id }) => id === `luvm-${metadata.uid}`);
    assert.equal(system?.state, 'Running');
    assert.equal(status.runtimeID, system.runtimeId);
    assert.equal(bed.guests.guest(system.id)?.phase, 'running');
    assert.ok((await bed.filesOf(metadata.uid)).has('vm.json'));
  });
  await report.test('deletes it, and nothing is left', () => bed.deleted('ordinary', agent));
}

/** Windows copies its boot files, and all VMs get access to the copies. */
async function confidential(bed: AgentUnderWine, agent: WindowsProgram, report: Report): Promise<void> {
  await report.test('stages a confidential VM, and sends its guest the policy', async () => {
    const policy = Buffer.from('package policy').toString('base64');
    await bed.apply('sealed', { confidential: { securityPolicy: policy } });
    const { metadata, status } = await bed.running('sealed', agent);
    const files = await bed.filesOf(metadata.uid);
    assert.equal(files.get('kernel.vmgs'), 'state');
    assert.equal(files.get('rootfs.vhd'), 'root');
    const lists = Object.entries(bed.guests.state?.access ?? {}).filter(([path]) => path.includes(metadata.uid));
    assert.deepEqual(lists.map(([path]) => win32.basename(path)).sort(), ['kernel.vmgs', 'rootfs.vhd']);
    for (const [, list] of lists) assert.match(list, /\(A;;GA;;;S-1-5-83-0\)/);
    const guest = bed.guests.guest(`luvm-${metadata.uid}`);
    assert.equal(guest?.resources.securityPolicy?.EncodedSecurityPolicy, policy);
    assert.equal(status.policyDigest, createHash('sha256').update('package policy').digest('hex'));
  });
  await report.test('deletes it with its read-only copies, and nothing is left', () => bed.deleted('sealed', agent));
}

/** The checks that wine can pass. It has no privileges and no compute service to show. */
const expectedOk = [
  'windows-build',
  'hyper-v',
  'boot-files',
  'boot-file-access',
  'threads',
  'token',
  'ca-file',
  'operator',
  'state-folder',
];

async function diagnosis(bed: AgentUnderWine, report: Report): Promise<void> {
  await report.test('finds by its doctor what a node needs', async () => {
    const found = await bed.diagnosis();
    for (const check of expectedOk)
      assert.equal(found.get(check)?.state, 'ok', `${check}: ${JSON.stringify(found.get(check))}`);
  });
}

export async function lifeOfAnAgent(bed: AgentUnderWine, report: Report): Promise<void> {
  await diagnosis(bed, report);
  const healthPort = await freePort();
  const agent = await bed.startAgent({ healthPort });
  await bringToReady(bed, agent, report);
  await report.test('answers probes and gives metrics', async () => {
    for (const path of ['healthz', 'readyz', 'metrics'])
      assert.equal((await fetch(`http://127.0.0.1:${healthPort}/${path}`)).status, 200, path);
  });
  await report.test('says what the host is', async () => {
    const facts = JSON.stringify(await bed.host());
    assert.match(facts, /"osBuild":26100/);
  });
  await confidential(bed, agent, report);
  await bed.example('ordinary');
  const { metadata, status: first } = await bed.running('ordinary', agent);
  await report.test('starts a VM again whose guest crashed', async () => {
    bed.guests.guest(`luvm-${metadata.uid}`)?.end('crash');
    const { status } = await bed.running('ordinary', agent, (found) => found.status.restarts === 1);
    assert.notEqual(status.runtimeID, first.runtimeID);
    assert.equal(status.lastExit?.type, 'UnexpectedExit');
  });
  const second = await bed.startAgent();
  await report.test('keeps a second agent of the node out', async () => {
    await bed.until('the second agent waits', second, async () =>
      (await second.output()).includes('another agent runs on this node'),
    );
  });
  await report.test('is followed by it when killed, and the VM runs again from the journal', async () => {
    await agent.kill();
    const { status } = await bed.running('ordinary', second, (found) => found.status.restarts === 2);
    assert.equal(status.lastExit?.type, 'AgentExit');
  });
  await report.test('after that too leaves nothing of a deleted VM', () => bed.deleted('ordinary', second));
}

/** HCS is a separate process here, so VMs can outlive their agents as they do on Windows. */
export async function adoption(bed: AgentUnderWine, report: Report): Promise<void> {
  await using hcs = await bed.startHcs();
  const first = await bed.startAgent({ hcs });
  await bed.connected(first);
  await bed.example('outlives-agent');
  const { metadata, status: before } = await bed.running('outlives-agent', first);
  const id = `luvm-${metadata.uid}`;
  await report.test('leaves a VM running that may outlive it, when its process is killed', async () => {
    await first.kill();
    await until('its handles have run down', async () => (await hcs.system(id))?.handles === 0);
    const system = await hcs.system(id);
    assert.deepEqual(
      { state: system?.state, runtimeId: system?.runtimeId, guest: system?.guest?.phase },
      { state: 'Running', runtimeId: before.runtimeID, guest: 'running' },
    );
  });
  const second = await bed.startAgent({ hcs });
  await report.test('has a successor that takes the VM over as it is', async () => {
    await bed.until('the second agent holds the VM', second, async () => (await hcs.system(id))?.handles === 1);
    await bed.connected(second);
    const { status } = await bed.running('outlives-agent', second);
    assert.equal(status.runtimeID, before.runtimeID);
    assert.equal(status.restarts, 0);
    assert.equal(status.lastExit, undefined);
  });
  await report.test('and hears of the end of its guest, as of any other', async () => {
    await hcs.crash(id);
    const { status } = await bed.running('outlives-agent', second, (found) => found.status.restarts === 1);
    assert.equal(status.lastExit?.type, 'UnexpectedExit');
    assert.notEqual(status.runtimeID, before.runtimeID);
  });
  await report.test('deletes it, and nothing is left', async () => {
    await bed.deleted('outlives-agent', second);
    assert.deepEqual(await hcs.systems(), []);
  });
}
