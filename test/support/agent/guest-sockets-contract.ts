// The contract of connections from the host to a guest (agent/node/guest-sockets.ts), as one suite for all
// implementations.
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import type { GuestSockets } from '../../../agent/node/guest-sockets.ts';

export interface SocketsUnderTest extends AsyncDisposable {
  readonly sockets: GuestSockets;
  readonly runtimeId: RuntimeId;
  /** A program of the guest listens on a port. */
  listen(port: number, serve: (connection: Duplex) => void): Promise<void>;
  /** The next connection to the port gets no answer. */
  hang(port: number): Promise<void>;
}

const bound = () => AbortSignal.timeout(10_000);

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => undefined,
    (error: unknown) => error,
  );
}

export function describeGuestSockets(name: string, make: () => Promise<SocketsUnderTest>): void {
  describe(`${name} keep the contract of connections to a guest`, () => {
    let tested: SocketsUnderTest;

    beforeEach(async () => {
      tested = await make();
    });
    afterEach(async () => {
      await tested[Symbol.asyncDispose]();
    });

    /** Both ends of a new connection. */
    async function connected(port = 80): Promise<{ readonly host: Duplex; readonly guest: Duplex }> {
      const arrived = Promise.withResolvers<Duplex>();
      await tested.listen(port, arrived.resolve);
      const host = await tested.sockets.connect(tested.runtimeId, port, bound());
      return { host, guest: await arrived.promise };
    }

    it('carry bytes in both directions, and end each direction separately', async () => {
      const { host, guest } = await connected();
      const question = Buffer.alloc(2 << 20, 'hello guest ');
      const atGuest = buffer(guest);
      host.end(question);
      expect((await atGuest).equals(question)).toBe(true);
      const answer = Buffer.alloc(2 << 20, 'hello host ');
      const atHost = buffer(host);
      guest.end(answer);
      expect((await atHost).equals(answer)).toBe(true);
    });

    it('keep what the guest says first, also when it ends at once', async () => {
      await tested.listen(80, (guest) => guest.end('220 ready'));
      const host = await tested.sockets.connect(tested.runtimeId, 80, bound());
      expect(String(await buffer(host))).toBe('220 ready');
      host.destroy();
    });

    it('are refused where no program of the guest listens, and elsewhere not', async () => {
      await tested.listen(80, (guest) => guest.end());
      const refused = await failureOf(tested.sockets.connect(tested.runtimeId, 81, bound()));
      expect(refused).toMatchObject({ code: 'ECONNREFUSED' });
      (await tested.sockets.connect(tested.runtimeId, 80, bound())).destroy();
    });

    it('are given up when the signal aborts', async () => {
      await tested.hang(80);
      const abort = new AbortController();
      const connecting = failureOf(tested.sockets.connect(tested.runtimeId, 80, abort.signal));
      abort.abort(new Error('enough'));
      expect(await connecting).toMatchObject({ message: 'enough' });
      expect(await failureOf(tested.sockets.connect(tested.runtimeId, 80, abort.signal))).toMatchObject({
        message: 'enough',
      });
    });

    it('hold back a guest whose data is not read', async () => {
      const { host, guest } = await connected();
      const all = 32 << 20;
      let written = 0;
      const write = () => {
        while (written < all) {
          written += 64 << 10;
          if (!guest.write(Buffer.alloc(64 << 10))) return;
        }
        guest.end();
      };
      guest.on('drain', write);
      write();
      // One round trip of another connection: by then the first one would have moved on.
      await tested.listen(7, (other) => other.pipe(other));
      const other = await tested.sockets.connect(tested.runtimeId, 7, bound());
      other.end('ping');
      expect(String(await buffer(other))).toBe('ping');
      expect(written).toBeLessThan(8 << 20);
      expect((await buffer(host)).length).toBe(all);
      for (const each of [host, guest]) each.destroy();
    });

    it('end when the guest is gone, and an error needs no listener', async () => {
      const { host, guest } = await connected();
      host.write('x');
      await once(guest, 'readable');
      guest.destroy();
      host.resume();
      await once(host, 'end');
      const closed = once(host, 'close');
      host.write('y');
      host.destroy(new Error('nobody listens for this'));
      await closed.catch(() => undefined);
    });
  });
}
