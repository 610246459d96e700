import { randomBytes } from 'node:crypto';
import { Duplex, duplexPair, PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { GuestBridge } from '../../../../agent/guest/bridge/bridge.ts';
import { encodeFrame, type Frame, FrameReader, responseType } from '../../../../agent/guest/bridge/frames.ts';
import { entropyBytes, serveEntropy } from '../../../../agent/guest/entropy.ts';
import type { GuestListener } from '../../../../agent/node/guest-sockets.ts';
import { askFor, readFrames, responseDifference, sentFrame } from '../../../golden/bridge-frames.ts';
import { FakeClock } from '../../../support/clocks/fake-clock.ts';

const golden = readFrames(new URL('../../../golden/bridge-frames.json', import.meta.url).pathname);
const never = new AbortController().signal;

describe('frames of the bridge', () => {
  const asked = golden.requests.flatMap((testCase) => {
    const ask = askFor(testCase.request);
    return ask === undefined ? [] : [[testCase.name, testCase, ask] as const];
  });

  it('are compared for every request that this host sends', () => {
    expect(asked.length).toBeGreaterThanOrEqual(40);
  });

  it.each(asked)('equal those of the original: %s', async (_, { id, frameHex }, ask) => {
    expect(await sentFrame(ask, id)).toBe(frameHex);
  });

  it.each(golden.responses.map((each) => [each.name, each] as const))('are read: %s', (_, testCase) => {
    expect(responseDifference(testCase)).toBeUndefined();
  });

  it.each([
    [
      'variables in the order of their names as texts, also of numbers',
      { args: ['x'], environment: ['2=c', '10=b', 'a=<', '1=a'] },
      '{"CommandArgs":["x"],"WorkingDirectory":"/","Environment":{"1":"a","10":"b","2":"c","a":"\\u003c"}}',
    ],
    ['nothing that is empty', { args: [], commandLine: '', user: '', workingDirectory: '', environment: [] }, '{}'],
    [
      'the arguments if the command line is empty',
      { args: ['', 'b'], commandLine: '', environment: [] },
      '{"CommandArgs":["","b"],"WorkingDirectory":"/"}',
    ],
  ])('ask for a process with %s', async (_, command, parameters) => {
    const sent = Buffer.from(await sentFrame((bridge) => bridge.execute(command, {}), 1n), 'hex').subarray(16);
    const request = z.object({ Settings: z.object({ ProcessParameters: z.string() }) });
    expect(request.parse(JSON.parse(sent.toString())).Settings.ProcessParameters).toBe(parameters);
  });

  it('come out of a stream unchanged, wherever the stream is cut', () => {
    const frame = fc.record({
      type: fc.nat(0xffff_ffff),
      id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      payload: fc.string({ maxLength: 200 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.nat(2000), { maxLength: 20 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(({ type, id, payload }) => encodeFrame(type, id, payload)));
        const read = readAll(bytes, cuts);
        expect(read.frames.map(({ payload, ...rest }) => ({ ...rest, payload: payload.toString() }))).toEqual(
          frames.map((each) => ({ ...each, payload: Buffer.from(each.payload).toString() })),
        );
        expect(read.reader.pendingBytes).toBe(0);
      }),
    );
  });

  it('never keep more than one frame waiting, whatever arrives', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400), { maxLength: 10 }), (bytes, cuts) => {
        const { reader } = readAll(Buffer.from(bytes), cuts);
        expect(reader.pendingBytes).toBeLessThanOrEqual(0x1_0000 + bytes.length);
      }),
    );
  });
});

function readAll(bytes: Buffer, cuts: readonly number[]): { readonly reader: FrameReader; readonly frames: Frame[] } {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (const [index, place] of places.entries()) {
    reader.push(bytes.subarray(places[index - 1], place));
    for (let read = reader.next(); read.kind === 'frame'; read = reader.next()) frames.push(read.frame);
  }
  return { reader, frames };
}

/** A bridge and the guest's end of its stream. */
function connect(firstId = 100n) {
  const [stream, peer] = duplexPair();
  const clock = new FakeClock();
  const bridge = GuestBridge.connect(stream, { clock, firstId });
  const reader = new FrameReader();
  const waiting: ((frame: Frame) => void)[] = [];
  const arrived: Frame[] = [];
  peer.on('error', () => {});
  peer.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let read = reader.next(); read.kind === 'frame'; read = reader.next()) {
      const next = waiting.shift();
      if (next === undefined) arrived.push(read.frame);
      else next(read.frame);
    }
  });
  const request = () => {
    const frame = arrived.shift();
    return frame === undefined ? new Promise<Frame>((resolve) => waiting.push(resolve)) : Promise.resolve(frame);
  };
  const answer = ({ type, id }: Pick<Frame, 'type' | 'id'>, body: unknown) =>
    peer.write(encodeFrame(responseType(type), id, JSON.stringify(body)));
  return { bridge, clock, peer, request, answer };
}

const dumpStacks = 0x1010_0c01;

describe('the bridge', () => {
  it('matches answers to requests by id, in any order', async () => {
    const { answer, bridge, clock, request } = connect();
    const calls = [bridge.dumpStacks(), bridge.dumpStacks()];
    const [first, second] = [await request(), await request()];
    expect([first.id, second.id]).toEqual([100n, 101n]);
    answer(second, { Result: 0, GuestStacks: 'b' });
    answer(first, { GuestStacks: 'a' });
    expect(await Promise.all(calls)).toEqual(['a', 'b']);
    expect(clock.pending).toBe(0);
    expect(bridge.nextId).toBe(102n);
  });

  it("does not cut a character in a long name of the guest's system", async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.negotiate(never);
    answer(await request(), { Version: 4, Capabilities: { RuntimeOsType: `a${'😀'.repeat(64)}` } });
    const { osType } = await call;
    expect(osType).toMatch(/^a(?:😀)+$/u);
  });

  it('reports the version and the system of the guest', async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.negotiate(never);
    answer(await request(), { Version: 4, Capabilities: { GuestDefinedCapabilities: { DumpStacksSupported: true } } });
    expect(await call).toEqual({ protocolVersion: 4, osType: 'windows', capabilities: ['DumpStacksSupported'] });
  });

  it('refuses another version', async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.negotiate(never);
    answer(await request(), { Version: 3 });
    await expect(call).rejects.toThrow('unexpected version 3 returned');
  });

  it('fails a request with the result of the guest, as an unsigned number', async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.dumpStacks();
    answer(await request(), { Result: -1070137074, ErrorMessage: 'no such container', ErrorRecords: [{}] });
    await expect(call).rejects.toMatchObject({
      hresult: 0xc037_010e,
      message: 'guest RPC failure: no such container',
    });
  });

  it('lets a caller give up a harmless request, and swallows its answer', async () => {
    const { answer, bridge, clock, request } = connect();
    const abort = new AbortController();
    const call = bridge.negotiate(abort.signal);
    const asked = await request();
    abort.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    expect(clock.pending).toBe(0);
    answer(asked, { Version: 4 });
    const next = bridge.dumpStacks();
    answer(await request(), { GuestStacks: 's' });
    expect(await next).toBe('s');
  });

  it('counts answers to requests of an earlier connection', async () => {
    const { answer, bridge, request } = connect();
    answer({ type: dumpStacks, id: 7n }, {});
    answer({ type: dumpStacks, id: 2n ** 63n }, {});
    const call = bridge.dumpStacks();
    answer(await request(), {});
    expect(await call).toBe('');
    expect(bridge.lateAnswers).toBe(2);
  });

  it('closes on a second answer', async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.dumpStacks();
    const asked = await request();
    answer(asked, {});
    answer(asked, {});
    await call;
    expect(await bridge.closed).toEqual({ kind: 'failed', message: 'second response to request 100' });
  });

  it('closes when an answer takes too long, and rejects all waiting requests', async () => {
    const { bridge, clock } = connect();
    const calls = [bridge.dumpStacks(), bridge.negotiate(never)];
    const settled = Promise.allSettled(calls);
    clock.advance(299_999);
    clock.advance(1);
    expect(await bridge.closed).toEqual({ kind: 'failed', message: 'message timeout: dumpStacks' });
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(clock.pending).toBe(0);
    await expect(bridge.dumpStacks()).rejects.toThrow('bridge closed: message timeout');
  });

  it('survives a change that the guest takes too long to make, and accepts its late answer', async () => {
    const { answer, bridge, clock, request } = connect();
    const settings = { MountPath: '/mnt/a', Lun: 9 };
    const waiting = bridge.modify({ resourceType: 'MappedVirtualDisk', requestType: 'Add', settings }, 30_000);
    const asked = await request();
    clock.advance(30_000);
    await expect(waiting).rejects.toMatchObject({ name: 'GuestUnansweredError' });
    clock.advance(300_000);
    const stacks = bridge.dumpStacks();
    const second = await request();
    answer(asked, {});
    answer(second, { GuestStacks: 'all of them' });
    expect(await stacks).toBe('all of them');
    expect([bridge.lateAnswers, clock.pending]).toEqual([0, 0]);
  });

  it('treats the end of the stream as a power-off of the guest if one was requested', async () => {
    const { bridge, peer, request } = connect();
    const call = bridge.powerOff(never);
    await request();
    peer.end();
    await call;
    expect(await bridge.closed).toEqual({ kind: 'failed', message: 'bridge read failed: header read: EOF' });
  });

  it('leaves the bridges of other VMs alone when it closes', async () => {
    const [broken, whole] = [connect(), connect()];
    const calls = [broken.bridge.dumpStacks(), whole.bridge.dumpStacks()];
    const asked = await whole.request();
    broken.peer.write(header(0x2010_0c01, 3));
    await expect(calls[0]).rejects.toThrow('bridge closed: bridge read failed: message size 3');
    whole.answer(asked, { GuestStacks: 'of the other' });
    expect(await calls[1]).toBe('of the other');
    whole.bridge.close();
    expect(await whole.bridge.closed).toEqual({ kind: 'local' });
  });

  it('asks for a dump of stacks only if the guest says that it can make one', async () => {
    const { answer, bridge, request } = connect();
    const call = bridge.negotiate(never);
    answer(await request(), { Version: 4, Capabilities: { RuntimeOsType: 'Linux' } });
    await call;
    expect(await bridge.dumpStacks()).toBe('');
    expect(bridge.nextId).toBe(101n);
  });

  it('reports nothing when it is closed on purpose', async () => {
    const { bridge } = connect();
    const call = bridge.powerOff(never);
    bridge.close();
    bridge.close();
    expect(await bridge.closed).toEqual({ kind: 'local' });
    await expect(call).rejects.toThrow('bridge closed');
  });

  it.each([
    ['the end of the stream', Buffer.alloc(0), 'EOF'],
    ['a size below the header', header(0x2010_0c01, 15), 'message size 15'],
    ['a size above the limit', header(0x2010_0c01, 0x1_0001), 'message size 65537'],
    ['an unknown kind', encodeFrame(0x4010_0c01, 0n, '{}'), 'unknown message type'],
    ['a request', encodeFrame(dumpStacks, 0n, '{}'), 'unknown message type'],
    ['an unknown notification', encodeFrame(0x3010_0201, 0n, '{}'), 'unknown notification'],
    ['a notification that is none', encodeFrame(0x3010_0101, 0n, '5'), 'undecodable notification'],
    ['a stranger', encodeFrame(0x3010_0101, 0n, '{"ContainerId":"c"}'), 'unknown container c'],
  ])('closes on %s', async (_, bytes, message) => {
    const { bridge, peer } = connect();
    peer.end(bytes);
    expect(await bridge.closed).toMatchObject({ kind: 'failed', message: expect.stringContaining(message) });
  });

  it.each([
    ['no JSON', '{'],
    ['no response', '5'],
    ['a wrong kind', '{"GuestStacks":5}'],
    ['a wrong result', '{"Result":"0"}'],
  ])('closes on an answer that is %s', async (_, payload) => {
    const { bridge, peer, request } = connect();
    const call = bridge.dumpStacks();
    const { id } = await request();
    peer.write(encodeFrame(0x2010_0c01, id, payload));
    await expect(call).rejects.toThrow();
    expect(await bridge.closed).toMatchObject({ kind: 'failed' });
  });

  it('treats any JSON as an answer or as a broken guest, and says which', async () => {
    const asks: readonly ((bridge: GuestBridge) => Promise<unknown>)[] = [
      (bridge) => bridge.negotiate(never),
      (bridge) => bridge.execute({ args: ['x'] }, {}),
      (bridge) => bridge.wait(1).exitCode,
      (bridge) => bridge.dumpStacks(),
      (bridge) => bridge.properties('c', [], never),
      (bridge) => bridge.modify({ resourceType: 'PodCgroupMemoryLimit', requestType: 'Update' }),
    ];
    const member = fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.object({ maxDepth: 2 }));
    const names = ['Result', 'ErrorMessage', 'Version', 'Capabilities', 'ProcessId', 'ExitCode', 'GuestStacks'];
    const body = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...names), member));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...asks), body, async (ask, value) => {
        const { answer, bridge, request } = connect();
        const call = ask(bridge);
        answer(await request(), value);
        const [outcome] = await Promise.allSettled([call]);
        if (outcome?.status === 'rejected') expect(outcome.reason).toBeInstanceOf(Error);
        bridge.close();
        await bridge.closed;
      }),
      { numRuns: 300 },
    );
  });

  it('survives any bytes, and gives a reason', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const { bridge, peer } = connect();
        peer.end(Buffer.from(bytes));
        peer.resume();
        expect((await bridge.closed).kind).toBe('failed');
      }),
      { numRuns: 200 },
    );
  });
});

function header(type: number, size: number): Buffer {
  const bytes = encodeFrame(type, 0n, '');
  bytes.writeUInt32LE(size, 4);
  return bytes;
}

describe('entropy', () => {
  function listenerOf(stream: Duplex | undefined): GuestListener & { readonly isClosed: () => boolean } {
    let isClosed = false;
    return {
      accept: (signal) =>
        stream === undefined
          ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
          : Promise.resolve(stream),
      close: () => {
        isClosed = true;
        return Promise.resolve();
      },
      isClosed: () => isClosed,
    };
  }

  it('is 512 bytes followed by the end of the stream, for one guest', async () => {
    const [stream, guest] = duplexPair();
    const listener = listenerOf(stream);
    const received: Buffer[] = [];
    guest.on('data', (chunk: Buffer) => received.push(chunk));
    const ended = new Promise((resolve) => guest.once('end', resolve));
    await serveEntropy(listener, randomBytes, never);
    await ended;
    expect(Buffer.concat(received)).toHaveLength(entropyBytes);
    expect(listener.isClosed()).toBe(true);
  });

  it('gives up when told to, before and after the guest dialled', async () => {
    const waiting = listenerOf(undefined);
    const abort = new AbortController();
    const served = serveEntropy(waiting, randomBytes, abort.signal);
    abort.abort(new Error('too late'));
    await expect(served).rejects.toThrow('too late');
    expect(waiting.isClosed()).toBe(true);

    const stuck = new Duplex({ read() {}, write() {} });
    const second = new AbortController();
    const unread = serveEntropy(listenerOf(stuck), randomBytes, second.signal);
    await new Promise((resolve) => setImmediate(resolve));
    second.abort();
    await expect(unread).rejects.toThrow();
    expect(stuck.destroyed).toBe(true);
  });

  it('reports when the guest does not accept it', async () => {
    const broken = new PassThrough();
    const served = serveEntropy(listenerOf(broken), randomBytes, never);
    broken.destroy(new Error('reset'));
    await expect(served).rejects.toThrow();
  });
});
