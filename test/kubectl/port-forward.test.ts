// `kubectl luvm port-forward` with an API server whose WebSockets the test serves: what users write and see, and how
// connections end.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { addressText, parseAddresses, parseForward } from '../../kubectl/port-forward/forwards.ts';
import { portForward } from '../../kubectl/port-forward/port-forward.ts';
import { channels, type StatusMessage } from '../../protocol/subresources.ts';
import { systemClock } from '../../runtime/clock.ts';
import { ManualClock } from '../support/clocks/manual-clock.ts';
import { type StandInAnswer, StandInApi } from '../support/kubectl/stand-in-api.ts';
import { type Outcome, runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';
import { until } from '../support/until.ts';

describe('what is to be forwarded', () => {
  it('is a vsock port, with a local port, a free one or the same', () => {
    expect(parseForward('vsock:80')).toEqual({ localPort: 80, port: 80 });
    expect(parseForward('8080:vsock:80')).toEqual({ localPort: 8080, port: 80 });
    expect(parseForward('0:vsock:80')).toEqual({ localPort: 0, port: 80 });
    expect(parseForward(':vsock:70000')).toEqual({ localPort: 0, port: 70_000 });
  });

  it.each(['80', '8080:80', '8080:10.0.0.5:80', 'tcp:80', 'vsock:', 'vsock:x', 'x:vsock:80', ' vsock:80'])(
    'is not %j, and the message says what is possible',
    (wrong) => {
      expect(() => parseForward(wrong)).toThrow('write vsock:PORT or LOCAL:vsock:PORT. Only vsock ports');
    },
  );

  it('has no ports out of range', () => {
    expect(() => parseForward('vsock:65536')).toThrow('or :vsock:65536 for a free local port');
    expect(() => parseForward('65536:vsock:80')).toThrow('at most 65535');
    expect(() => parseForward(':vsock:4294967296')).toThrow('at most 4294967295');
  });

  it('has addresses as kubectl takes them', () => {
    expect(parseAddresses('127.0.0.1,::1').map(({ address }) => address)).toEqual(['127.0.0.1', '::1']);
    expect(parseAddresses('localhost')).toEqual([
      { address: '127.0.0.1', isOptional: false },
      { address: '::1', isOptional: true },
    ]);
    expect(() => parseAddresses('example.com')).toThrow('neither an IP address nor localhost');
    expect(addressText('::1', 80)).toBe('[::1]:80');
  });
});

const machine = '/apis/lcow.dev/v1alpha1/namespaces/ns/linuxutilityvms/vm';
const notFound = { code: 404, body: { kind: 'Status', code: 404, reason: 'NotFound', message: 'no vm' } };

let api: StandInApi;
let machineAnswer: StandInAnswer;
let terminal: StandInTerminal;
let running: Promise<Outcome> | undefined;

beforeAll(async () => {
  api = await StandInApi.start(({ path }) => (path === machine ? machineAnswer : undefined));
});
afterAll(() => api[Symbol.asyncDispose]());
beforeEach(() => {
  machineAnswer = { body: {} };
  terminal = new StandInTerminal();
});
afterEach(async () => {
  if (running === undefined) return;
  await terminal.interrupt();
  expect((await running).code).toBe(0);
  running = undefined;
});

interface Started {
  readonly forwards?: readonly string[];
  readonly address?: string;
  readonly clock?: ManualClock;
}

function begin({ address = '127.0.0.1', clock, forwards = [':vsock:80'] }: Started = {}): Promise<Outcome> {
  return runAt(
    terminal,
    api.kubeconfig,
    (ports) => portForward('vm', { forwards, address }, ports),
    clock ?? systemClock,
  );
}

/** Starts the command, which the test leaves running, and returns its local ports. */
async function listening(options: Started = {}): Promise<readonly number[]> {
  running = begin(options);
  const wanted = (options.forwards?.length ?? 1) * (options.address ?? 'one').split(',').length;
  const ports = () => [...terminal.stdout.matchAll(/^Forwarding from \S+:(\d+) ->/gm)].map(([, port]) => Number(port));
  await terminal.until('it listens', () => ports().length === wanted);
  return ports();
}

async function local(port = 0): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  return socket;
}

/** Resolves with whether it was reset. */
function closeOf(socket: Socket): Promise<boolean> {
  socket.on('error', () => undefined).resume();
  return new Promise((resolve) => socket.once('close', resolve));
}

const data = (channel: number, bytes: string | Buffer) => Buffer.concat([Buffer.of(channel), Buffer.from(bytes)]);
const says = (socket: WebSocket, message: StatusMessage) => socket.send(data(channels.status, JSON.stringify(message)));
const ends = (socket: WebSocket) => socket.send(Buffer.of(channels.close, channels.stdout));

/** A guest that returns what it reads, and ends when its user has ended. */
function echo(socket: WebSocket): void {
  socket.on('message', (message: Buffer) => {
    if (message[0] === channels.stdin) socket.send(data(channels.stdout, message.subarray(1)));
    if (message[0] !== channels.close) return;
    ends(socket);
    says(socket, { type: 'exited' });
    socket.close(1000);
  });
}

describe('a forwarded port', () => {
  it('is printed as kubectl prints it, and Ctrl-C ends the command', async () => {
    const ports = await listening({ forwards: [':vsock:80', '0:vsock:22'] });
    expect(terminal.lines).toEqual([
      `Forwarding from 127.0.0.1:${ports[0]} -> vsock:80`,
      `Forwarding from 127.0.0.1:${ports[1]} -> vsock:22`,
    ]);
  });

  it('carries bytes in both directions, and each ends separately', async () => {
    const asked: string[] = [];
    api.upgrade = (query) => {
      asked.push(String(query));
      return echo;
    };
    const [port] = await listening();
    const socket = await local(port);
    const sent = Buffer.alloc(4 << 20, 'hello guest ');
    const received = buffer(socket);
    socket.end(sent);
    expect((await received).equals(sent)).toBe(true);
    expect(asked).toEqual(['port=80']);
    expect(terminal.lines.at(-1)).toBe(`Handling connection for ${port}`);
    expect(terminal.stderr).toBe('');
  });

  it('serves many connections at once, and the failure of one ends that one only', async () => {
    const remotes: WebSocket[] = [];
    api.upgrade = () => (remote) => {
      remotes.push(remote);
      echo(remote);
    };
    const [port] = await listening();
    const locals = await Promise.all(Array.from({ length: 20 }, () => local(port)));
    await until('all are connected', () => remotes.length === locals.length);
    const [broken] = remotes;
    const resets = locals.map(closeOf);
    if (broken !== undefined) says(broken, { type: 'failed', problem: 'ConnectionLost', message: 'reset\u001b[2J' });
    broken?.close(1000);
    await terminal.until('the problem', ({ stderr }) => stderr.includes('reset'));
    expect(terminal.stderr).toMatch(/^\[vsock:80: reset\S*\[2J \(ConnectionLost\)\]\n$/);
    expect(terminal.stderr).not.toContain('\u001b');
    for (const socket of locals) if (!socket.destroyed) socket.end();
    // A connection that was cut off is reset: its data must not look complete.
    expect((await Promise.all(resets)).filter((isReset) => isReset)).toHaveLength(1);
  });

  it('holds back a guest whose data is not read, and still shows signs of life', async () => {
    const clock = new ManualClock();
    const remote = Promise.withResolvers<WebSocket>();
    api.upgrade = () => remote.resolve;
    const [port] = await listening({ clock });
    const socket = await local(port);
    const guest = await remote.promise;
    let pongs = 0;
    guest.on('pong', () => {
      pongs += 1;
    });
    const block = data(channels.stdout, Buffer.alloc(64 << 10));
    const all = 512;
    for (let sent = 0; sent < all; sent += 1) guest.send(block);
    await until('the guest has to wait', () => guest.bufferedAmount > 8 << 20);
    await until('a sign of life', async () => {
      await clock.advance(15_000);
      return pongs > 0;
    });
    ends(guest);
    says(guest, { type: 'exited' });
    expect((await buffer(socket)).length).toBe(all * (64 << 10));
    socket.destroy();
    guest.close();
  });

  it('closes the connection to the guest when the local program has gone', async () => {
    const closed = Promise.withResolvers<void>();
    api.upgrade = () => (remote) => void remote.once('close', () => closed.resolve());
    const [port] = await listening();
    (await local(port)).resetAndDestroy();
    await closed.promise;
    expect(terminal.stderr).toBe('');
  });

  it('goes on after a refusal, when the VM has ended and when the operator restarts', async () => {
    const [port] = await listening();
    const refused = async () => await closeOf(await local(port));
    const status = { kind: 'Status', code: 409, reason: 'ConnectionRefused', message: 'no program listens' };
    api.upgrade = () => ({ code: 409, body: status });
    await refused();
    await terminal.until('the refusal', ({ stderr }) => stderr === '[vsock:80: no program listens]\n');
    api.upgrade = () => (remote) => {
      says(remote, { type: 'failed', problem: 'NotRunning', message: 'the VM has ended' });
      remote.close(1000);
    };
    await refused();
    await terminal.until('the end', ({ stderr }) => stderr.includes('the VM has ended: new connections are possible'));
    let attempts = 0;
    api.upgrade = () => {
      attempts += 1;
      return attempts === 1 ? { code: 503, body: 'starting' } : echo;
    };
    const socket = await local(port);
    socket.end('ping');
    expect(await text(socket)).toBe('ping');
    expect(terminal.stderr).toContain('[starting; trying again]');
  });

  it('that is in use, or of a VM that does not exist, ends the command', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    expect(await begin({ forwards: [':vsock:22', `${port}:vsock:80`] })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(`^error: cannot listen on 127.0.0.1:${port}: .*EADDRINUSE`),
    });
    taken.close();
    terminal = new StandInTerminal();
    machineAnswer = notFound;
    expect(await begin()).toEqual({ code: 1, stdout: '', stderr: 'error: no vm\n' });
  });

  it('of a VM that is deleted ends the command, whether or not somebody connects', async () => {
    const clock = new ManualClock();
    const idle = begin({ clock });
    await terminal.until('it listens', ({ lines }) => lines.length === 1);
    machineAnswer = notFound;
    const over = Promise.withResolvers<void>();
    void idle.finally(over.resolve);
    await until('it is noticed', async () => {
      await clock.advance(15_000);
      return terminal.stderr !== '';
    });
    expect(await idle).toMatchObject({
      code: 1,
      stderr: 'error: the VM "vm" does not exist any more: nothing is forwarded\n',
    });
    machineAnswer = { body: {} };
    terminal = new StandInTerminal();
    api.upgrade = () => notFound;
    const asked = begin();
    await terminal.until('it listens', ({ lines }) => lines.length === 1);
    const socket = await local(Number(/:(\d+) ->/.exec(terminal.stdout)?.[1]));
    socket.on('error', () => undefined);
    expect(await asked).toMatchObject({ code: 1, stderr: 'error: no vm\n' });
    socket.destroy();
  });
});
