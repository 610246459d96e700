import { randomBytes } from 'node:crypto';
import { type Duplex, duplexPair, type Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { GuestBridge } from '../../../../agent/guest/bridge/bridge.ts';
import { encodeFrame, type Frame, FrameReader, responseType } from '../../../../agent/guest/bridge/frames.ts';
import { requests } from '../../../../agent/guest/bridge/messages.ts';
import { firstStdioPort, GuestProcesses, maxProcesses } from '../../../../agent/guest/bridge/processes.ts';
import { serveEntropy } from '../../../../agent/guest/entropy.ts';
import { guestPorts } from '../../../../agent/node/guest-sockets.ts';
import { GuestConversation } from '../../../../agent/run/conversation.ts';
import { systemClock } from '../../../../runtime/clock.ts';
import { loggingCommand, newSystemId, ordinaryDocument, startNode } from '../../../support/agent/simulated-node.ts';
import { FakeClock } from '../../../support/clocks/fake-clock.ts';
import { until } from '../../../support/until.ts';

const bound = () => AbortSignal.timeout(10_000);
const nothing = { stdin: false, stdout: false, stderr: false };

/** A running simulated guest, and the host's end of its bridge. */
async function bootGuest() {
  const node = await startNode();
  const { backend, sockets } = await node.connect();
  const document = JSON.stringify(ordinaryDocument({ command: loggingCommand }));
  const system = await backend.create(newSystemId(), document);
  const { runtimeId } = await system.properties();
  if (runtimeId === undefined) throw new Error('no runtime id');
  const [entropy, log, bridge] = await Promise.all([
    sockets.listen(runtimeId, guestPorts.entropy),
    sockets.listen(runtimeId, guestPorts.log),
    sockets.listen(runtimeId, guestPorts.bridge),
  ]);
  const over = new AbortController();
  const ports: number[] = [];
  const connections: boolean[] = [];
  const conversation: GuestConversation = new GuestConversation(
    bridge,
    {
      uid: 'u',
      clock: systemClock,
      randomBytes,
      logger: pino({ level: 'silent' }),
      onConnection: () => connections.push(conversation.isConnected),
    },
    { listen: (port) => sockets.listen(runtimeId, port), onNextPort: (port) => ports.push(port) },
  );
  const seeded = serveEntropy(entropy, randomBytes, bound());
  log.accept(bound()).then((stream) => stream.resume());
  await system.start();
  await seeded;
  conversation.serve(over.signal).catch(() => undefined);
  await conversation.first;
  const dispose = async () => {
    over.abort();
    conversation.close();
    await node[Symbol.asyncDispose]();
  };
  return {
    node,
    system,
    processes: conversation.processes,
    conversation,
    ports,
    connections,
    [Symbol.asyncDispose]: dispose,
  };
}

function read(stream: Readable | undefined): Promise<string> {
  if (stream === undefined) throw new Error('no stream');
  return text(stream);
}

describe('processes in a guest', () => {
  it('write to their streams and end with a code', async () => {
    await using guest = await bootGuest();
    const wanted = { ...nothing, stdout: true, stderr: true };
    const uname = await guest.processes.execute({ args: ['/bin/uname', '-a'] }, wanted, bound());
    expect(await read(uname.stdout)).toContain('Linux simulated');
    expect(await read(uname.stderr)).toBe('');
    expect(await uname.exitCode).toBe(0);
    const shell = await guest.processes.execute({ args: ['/bin/sh', '-c', 'exit 7'] }, nothing, bound());
    expect(await shell.exitCode).toBe(7);
    const dead = await guest.processes.execute({ args: ['/bin/sh', '-c', 'kill -9 $$'] }, nothing, bound());
    expect(await dead.exitCode).toBe(4_294_967_295);
    expect(guest.ports).toEqual([firstStdioPort + 1, firstStdioPort + 2]);
    expect(guest.processes.running).toBe(0);
  });

  it('read their input to its end', async () => {
    await using guest = await bootGuest();
    const wanted = { stdin: true, stdout: true, stderr: false };
    const cat = await guest.processes.execute({ args: ['/bin/cat'] }, wanted, bound());
    const sent = randomBytes(300_000).toString('hex');
    cat.stdin?.end(sent);
    expect(await read(cat.stdout)).toBe(sent);
    expect(await cat.exitCode).toBe(0);
  });

  it("fail with the guest's message when they cannot be started", async () => {
    await using guest = await bootGuest();
    const started = guest.processes.execute({ args: ['/no/such'] }, { ...nothing, stdout: true }, bound());
    await expect(started).rejects.toThrow('fork/exec /no/such: no such file or directory');
    expect(guest.processes.running).toBe(0);
  });

  it('are killed by another process, because the bridge cannot signal them', async () => {
    await using guest = await bootGuest();
    const sleeping = await guest.processes.execute({ args: ['/bin/sleep', '100'] }, nothing, bound());
    const kill = await guest.processes.execute({ args: ['/bin/kill', '-9', `${sleeping.id}`] }, nothing, bound());
    expect(await kill.exitCode).toBe(0);
    expect(await sleeping.exitCode).toBe(4_294_967_295);
  });

  it('outlive a connection', async () => {
    await using guest = await bootGuest();
    const sleeping = await guest.processes.execute({ args: ['/bin/sleep', '100'] }, nothing, bound());
    await guest.node.control.dropBridge(guest.system.id);
    await until('another connection', () => guest.connections.length >= 3 && guest.conversation.isConnected);
    expect(guest.connections.slice(0, 3)).toEqual([true, false, true]);
    const kill = await guest.processes.execute({ args: ['/bin/kill', '-9', `${sleeping.id}`] }, nothing, bound());
    expect(await kill.exitCode).toBe(0);
    expect(await sleeping.exitCode).toBe(4_294_967_295);
  });
});

/** The guest's end of a bridge; the test writes its answers. */
function connect(processes: GuestProcesses, firstId: bigint) {
  const [stream, peer] = duplexPair();
  const reader = new FrameReader();
  const arrived: Frame[] = [];
  const late = (id: bigint, body: unknown) => processes.lateAnswer(id, body);
  const bridge = GuestBridge.connect(stream, { clock: new FakeClock(), firstId, onLateAnswer: late });
  peer.on('error', () => {});
  peer.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let next = reader.next(); next.kind === 'frame'; next = reader.next()) arrived.push(next.frame);
  });
  const request = async (type: number): Promise<Frame> => {
    for (let turn = 0; turn < 100; turn += 1) {
      const found = arrived.findIndex((frame) => frame.type === type);
      const [frame] = found < 0 ? [] : arrived.splice(found, 1);
      if (frame !== undefined) return frame;
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error('no such request');
  };
  const answer = ({ type, id }: Pick<Frame, 'type' | 'id'>, body: object) =>
    peer.write(encodeFrame(responseType(type), id, JSON.stringify(body)));
  return { bridge, peer, request, answer };
}

const execute = requests.executeProcess.type;
const wait = requests.waitForProcess.type;
const noListener = () => Promise.reject(new Error('no port is free'));

/** A running process whose first connection has ended. */
async function orphan() {
  const processes = new GuestProcesses({ listen: noListener, clock: new FakeClock() });
  const first = connect(processes, 0n);
  processes.connected(first.bridge);
  const starting = processes.execute({ args: ['x'] }, nothing, bound());
  first.answer(await first.request(execute), { ProcessId: 5 });
  const process = await starting;
  const asked = await first.request(wait);
  first.peer.end();
  await first.bridge.closed;
  processes.disconnected();
  const second = connect(processes, first.bridge.nextId);
  return { processes, process, asked, second };
}

describe('a process whose connection ended', () => {
  it('accepts the late answer to its first wait', async () => {
    const { processes, process, asked, second } = await orphan();
    processes.connected(second.bridge);
    await second.request(wait);
    second.answer(asked, { ExitCode: 9 });
    expect(await process.exitCode).toBe(9);
  });

  it('is waited for with a new request', async () => {
    const { processes, process, second } = await orphan();
    processes.connected(second.bridge);
    second.answer(await second.request(wait), { ExitCode: 3 });
    expect(await process.exitCode).toBe(3);
  });

  it('never ends with a code that the guest did not send', async () => {
    const { processes, process, second } = await orphan();
    processes.connected(second.bridge);
    second.answer(await second.request(wait), { Result: -2147023728 });
    await expect(process.exitCode).rejects.toThrow('its exit code was lost');
  });

  it('ends with the VM', async () => {
    const { processes, process } = await orphan();
    processes.end();
    await expect(process.exitCode).rejects.toThrow('the VM ended');
    await expect(processes.execute({ args: ['x'] }, nothing, bound())).rejects.toThrow('not connected');
  });
});

describe('starting processes', () => {
  it('is bounded', async () => {
    const processes = new GuestProcesses({ listen: noListener, clock: new FakeClock() });
    const { bridge } = connect(processes, 0n);
    processes.connected(bridge);
    for (let count = 0; count < maxProcesses; count += 1) {
      processes.execute({ args: ['x'] }, nothing, bound()).catch(() => undefined);
    }
    await expect(processes.execute({ args: ['x'] }, nothing, bound())).rejects.toThrow('64 processes');
    bridge.close();
  });

  it('fails when the guest does not connect the streams, and the process is still waited for', async () => {
    const clock = new FakeClock();
    const silent = {
      accept: (signal: AbortSignal) =>
        new Promise<Duplex>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
        ),
      close: () => Promise.resolve(),
    };
    const processes = new GuestProcesses({ listen: () => Promise.resolve(silent), clock });
    const { bridge, request, answer } = connect(processes, 0n);
    processes.connected(bridge);
    const started = processes.execute({ args: ['x'] }, { ...nothing, stdout: true }, bound());
    answer(await request(execute), { ProcessId: 5 });
    await request(wait);
    clock.advance(10_000);
    await expect(started).rejects.toThrow('did not connect its streams');
    expect(processes.running).toBe(1);
  });

  it('fails when the guest refuses before it has connected the streams, without harm to other processes', async () => {
    const closed = Promise.withResolvers<never>();
    const waiting = { accept: () => closed.promise, close: async () => closed.reject(new Error('closed')) };
    const processes = new GuestProcesses({ listen: () => Promise.resolve(waiting), clock: new FakeClock() });
    const { bridge, request, answer } = connect(processes, 0n);
    processes.connected(bridge);
    const started = processes.execute({ args: ['x'] }, { ...nothing, stdout: true }, bound());
    answer(await request(execute), { Result: -2147467259, ErrorMessage: 'no such file' });
    await expect(started).rejects.toThrow('no such file');
    // An unhandled rejection would end the agent; here it fails the test.
    await new Promise((resolve) => setImmediate(resolve));
    expect(processes.running).toBe(0);
  });

  it('fails when no port is free', async () => {
    const processes = new GuestProcesses({ listen: noListener, clock: new FakeClock() });
    const { bridge } = connect(processes, 0n);
    processes.connected(bridge);
    const started = processes.execute({ args: ['x'] }, { ...nothing, stdout: true }, bound());
    await expect(started).rejects.toThrow('no port is free');
  });
});
