// The Windows node as the agent uses it, with a double for each library.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hyperVAddress, vsockServiceId } from '../../../agent/windows/hvsock/address.ts';
import { connectWindowsNode } from '../../../agent/windows/node.ts';
import { newSystemId, ordinaryDocument } from '../../support/agent/simulated-node.ts';
import { buildDouble } from '../../support/doubles/build.ts';
import { ComputeCoreDouble, nothingLeft } from '../../support/doubles/computecore.ts';
import { ComputeNetworkDouble } from '../../support/doubles/computenetwork.ts';

it('a Windows node has HCS, files, facts and sockets, and leaves nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'node-'));
  const double = await ComputeCoreDouble.load();
  const networks = await ComputeNetworkDouble.load();
  const win32 = await buildDouble('win32');
  const node = await connectWindowsNode({
    isolation: [],
    libraries: { computecore: '', kernel32: win32, advapi32: win32, ws2_32: await buildDouble('winsock') },
    networkLibraries: networks.paths,
    backend: double.connect(),
  });
  expect((await node.host.facts()).logicalProcessors).toBe(2);
  expect(await node.networks.listNetworks()).toBe('[]');
  const image = join(folder, 'rootfs.vhd');
  await writeFile(image, '');
  await node.host.grantVmGroupAccess(image);

  const system = await node.backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
  const { runtimeId } = await system.properties();
  if (runtimeId === undefined) throw new Error('no runtime id');
  const listener = await node.sockets.listen(runtimeId, 1);
  await system.start();
  const address = Buffer.from(hyperVAddress(runtimeId, vsockServiceId(1)).subarray(4)).toString('hex');
  const guest = connect({ path: `\0hvsock-${address}` });
  const host = await listener.accept(AbortSignal.timeout(5_000));
  host.destroy();
  guest.destroy();

  await node.close();
  expect(await system.ended).toEqual({ kind: 'serviceDisconnected' });
  expect(double.counts()).toEqual(nothingLeft);
  await rm(folder, { recursive: true, force: true });
});
