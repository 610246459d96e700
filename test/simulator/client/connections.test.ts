import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { expect, it } from 'vitest';
import { SimulatedGuestSockets } from '../../../simulator/client/guest-sockets.ts';
import { GuestDoor } from '../../../simulator/service/guest-door.ts';
import { guestDoorPath } from '../../../simulator/wire/guest-address.ts';
import { runtimeId as anyId } from '../../../simulator/wire/rpc.ts';
import { describeGuestSockets } from '../../support/agent/guest-sockets-contract.ts';

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'gc-'));
  const runtimeId = anyId.parse(crypto.randomUUID());
  const programs = new Map<number, (connection: Duplex) => void>();
  const path = guestDoorPath(folder, runtimeId);
  const door = await GuestDoor.open(path, (port) => programs.get(port));
  return {
    sockets: new SimulatedGuestSockets(folder),
    runtimeId,
    listen: async (port: number, serve: (connection: Duplex) => void) => void programs.set(port, serve),
    /** The device takes the connection, and the guest does not answer. */
    hang: async () => {
      await rm(path);
      await new Promise<void>((resolve) => createServer().unref().listen(path, resolve));
    },
    async [Symbol.asyncDispose]() {
      door.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

describeGuestSockets('the sockets of simulated guests', start);

it('a guest that is gone refuses connections', async () => {
  await using tested = await start();
  const other = anyId.parse(crypto.randomUUID());
  await expect(tested.sockets.connect(other, 80, AbortSignal.timeout(10_000))).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  });
});
