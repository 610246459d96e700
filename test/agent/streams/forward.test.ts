// Connections to ports of a guest as the agent serves them: which ports, which VMs, and how they end.
import { Duplex, PassThrough } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { serveForward } from '../../../agent/streams/forward-stream.ts';
import { isForwardable } from '../../../agent/vm/forwardable-ports.ts';
import { GuestAccess, type ReachableVirtualMachine } from '../../../agent/vm/guest-access.ts';

const never = new AbortController().signal;

interface Reached {
  readonly execAllowed?: boolean;
  readonly connect?: (port: number, signal: AbortSignal) => Promise<Duplex>;
  readonly over?: AbortSignal;
}

function accessTo({ connect = () => Promise.resolve(new PassThrough()), execAllowed = true, over = never }: Reached) {
  const run = { connect, over, guestConnected: false };
  return new GuestAccess({ run, record: { applied: { execAllowed } } } as unknown as ReachableVirtualMachine);
}

function failing(code: string): Reached {
  return { connect: () => Promise.reject(Object.assign(new Error(`connect ${code}`), { code })) };
}

describe('the ports of a guest that users can reach', () => {
  it('are all below that of the bridge, without those of entropy, log and shared folders', () => {
    const ports = [0, 1, 2, 22, 80, 108, 109, 110, 564, 65_536, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, 0xffff_ffff];
    expect(ports.filter(isForwardable)).toEqual([2, 22, 80, 108, 110, 65_536, 0x3fff_ffff]);
  });

  it('are not those of the agent: nothing is connected', async () => {
    const dialled: number[] = [];
    const access = accessTo({
      connect: (port) => {
        dialled.push(port);
        return Promise.resolve(new PassThrough());
      },
    });
    for (const port of [0, 1, 109, 564, 0x4000_0000, 0x4000_0001]) {
      await expect(access.connect(port, never)).rejects.toMatchObject({ problem: 'PortNotAllowed' });
    }
    expect(dialled).toEqual([]);
  });

  it('of a confidential VM can be reached only if its policy allows processes from outside', async () => {
    const refused = accessTo({ execAllowed: false }).connect(80, never);
    await expect(refused).rejects.toMatchObject({ problem: 'ForwardingNotAllowed' });
    await expect(accessTo({ execAllowed: true }).connect(80, never)).resolves.toBeDefined();
  });

  it('answer, refuse, stay silent or fail, and the user is told which', async () => {
    const problemOf = async (reached: Reached) =>
      await accessTo(reached)
        .connect(80, never)
        .then(
          () => undefined,
          (error: { problem: string; message: string }) => `${error.problem}: ${error.message}`,
        );
    expect(await problemOf(failing('ECONNREFUSED'))).toBe(
      'ConnectionRefused: vsock port 80 of the guest: no program of the guest listens there',
    );
    expect(await problemOf(failing('ETIMEDOUT'))).toMatch(/^ConnectionTimedOut: .*does not answer$/);
    const silent = { connect: () => Promise.reject(new DOMException('the time is over', 'TimeoutError')) };
    expect(await problemOf(silent)).toMatch(/^ConnectionTimedOut/);
    expect(await problemOf(failing('EACCES'))).toBe('Failed: vsock port 80 of the guest: connect EACCES');
    const over = AbortSignal.abort(new Error('over'));
    expect(await problemOf({ ...failing('EACCES'), over })).toBe('NotRunning: the VM does not run');
  });
});

/** A connection whose other end the test holds. */
function pair(): { readonly connection: Duplex; readonly fromHost: PassThrough; readonly toHost: PassThrough } {
  const [fromHost, toHost] = [new PassThrough(), new PassThrough()];
  return { connection: Duplex.from({ readable: toHost, writable: fromHost }), fromHost, toHost };
}

function serve(connection: Duplex, { over = never, signal = never } = {}) {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  let opened = 0;
  const served = serveForward(
    { port: 80 },
    {
      access: { connect: () => Promise.resolve({ connection, over }) },
      stream: { incoming: () => stdin, outgoing: () => stdout },
      opened: () => {
        opened += 1;
      },
      signal,
    },
  );
  served.catch(() => undefined);
  return { served, stdin, stdout, opened: () => opened };
}

describe('a forwarded connection', () => {
  it('carries bytes in both directions, and each ends separately', async () => {
    const { connection, fromHost, toHost } = pair();
    const { served, stdin, stdout, opened } = serve(connection);
    stdin.end('question');
    expect(await text(fromHost)).toBe('question');
    expect(opened()).toBe(1);
    const answer = Buffer.alloc(1 << 20, 'answer ');
    toHost.end(answer);
    expect((await buffer(stdout)).equals(answer)).toBe(true);
    expect(await served).toEqual({});
  });

  it('that breaks is no end of data', async () => {
    const { connection } = pair();
    const { served, stdout } = serve(connection);
    connection.destroy(new Error('recv: WSAECONNRESET (10054)'));
    await expect(served).rejects.toMatchObject({ problem: 'ConnectionLost', message: 'recv: WSAECONNRESET (10054)' });
    expect(stdout.writableEnded).toBe(false);
  });

  it('that was closed before it could be served is lost', async () => {
    const connection = new PassThrough();
    connection.destroy();
    await new Promise((resolve) => connection.once('close', resolve));
    await expect(serve(connection).served).rejects.toMatchObject({ problem: 'ConnectionLost' });
  });

  it('ends with the run of its VM, and with its user', async () => {
    const [run, user] = [new AbortController(), new AbortController()];
    const first = pair();
    const ofRun = serve(first.connection, { over: run.signal });
    const second = pair();
    const ofUser = serve(second.connection, { signal: user.signal });
    run.abort();
    user.abort();
    await expect(ofRun.served).rejects.toMatchObject({ problem: 'NotRunning', message: 'the VM has ended' });
    await ofUser.served;
    expect([first.connection.destroyed, second.connection.destroyed]).toEqual([true, true]);
  });
});
