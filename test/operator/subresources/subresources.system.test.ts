// What `kubectl luvm` relies on, in cases where the API server, an agent or a VM does something unusual.
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { registerStreamMetrics } from '../../../operator/metrics/streams.ts';
import { streamsCapability } from '../../../protocol/streams/messages.ts';
import { machineUsage } from '../../../protocol/subresources.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { until } from '../../support/operator/fixture.ts';
import { SubresourcesBed, type UserStream } from '../../support/operator/subresources-bed.ts';

const cat = { subresource: 'exec', query: 'command=cat&stdin=true&stdout=true' } as const;
const sleep = { subresource: 'exec', query: 'command=sleep&command=1000' } as const;
const tail = { subresource: 'log', query: 'tailLines=1&positions=true' } as const;
const gone = { type: 'failed', problem: 'NoSuchVirtualMachine', message: 'the VM is gone' };
const followed = { subresource: 'log', query: 'follow=true' } as const;

let bed: SubresourcesBed;
beforeAll(async () => {
  bed = await SubresourcesBed.start();
});
afterAll(() => bed[Symbol.asyncDispose]());

async function answers(stream: UserStream, typed: string): Promise<void> {
  stream.type(typed);
  await until(() => stream.stdout.endsWith(typed));
}

describe('an agent of a version without streams', () => {
  it('must be upgraded, and the answer says so', async () => {
    const agent = await bed.connectScriptedAgent('old');
    onTestFinished(() => agent.disconnect());
    const { code, text: body } = await bed.get({ ...followed, name: 'old' });
    expect(code).toBe(501);
    expect(JSON.parse(body)).toMatchObject({
      kind: 'Status',
      code: 501,
      reason: 'NotImplemented',
      message: 'the agent of node-b is of an earlier version, which has no streams: upgrade it',
    });
    const exec = bed.open({ ...cat, name: 'old' });
    await until(() => exec.refusal !== undefined);
    expect(exec.refusal?.code).toBe(501);
    expect(exec.refusal?.text).toContain('upgrade it');
    // The agent was not sent messages that it does not know.
    expect(agent.isOpen).toBe(true);
    expect(agent.received.map(({ type }) => type)).toEqual(['welcome', 'desired']);
  });
});

describe('stacks and usage', () => {
  it('of a VM that runs are those of its guest and of its host', async () => {
    const [stacks, usage] = await Promise.all([bed.get({ subresource: 'stacks' }), bed.get({ subresource: 'usage' })]);
    expect(stacks).toEqual({ code: 200, text: expect.stringMatching(/^goroutine 1 \[running\]:\n/) });
    expect(usage.code).toBe(200);
    const { assignedMemoryBytes = 0, log, processorSeconds = -1, time } = machineUsage.parse(JSON.parse(usage.text));
    expect(assignedMemoryBytes).toBeGreaterThan(1 << 20);
    expect(processorSeconds).toBeGreaterThanOrEqual(0);
    expect(Math.abs(Date.now() - time)).toBeLessThan(60_000);
    expect(log.boot).toBeGreaterThanOrEqual(0);
  });

  it('need an agent that knows them: an earlier one is sent nothing', async () => {
    const agent = await bed.connectScriptedAgent('earlier', [streamsCapability]);
    onTestFinished(() => agent.disconnect());
    for (const subresource of ['stacks', 'usage'] as const) {
      const { code, text: body } = await bed.get({ subresource, name: 'earlier' });
      expect([code, JSON.parse(body).message]).toEqual([
        501,
        `the agent of node-b is of an earlier version, which has no ${subresource}: upgrade it`,
      ]);
    }
    expect(agent.received.map(({ type }) => type)).toEqual(['welcome', 'desired']);
  });
});

describe('metrics', () => {
  it('report how many streams are open, how much they carry and which were refused', async () => {
    const registry = new Registry();
    registerStreamMetrics(registry, bed.counts);
    const stream = await bed.open(cat).started();
    await answers(stream, 'four');
    const read = await bed.get(tail);
    await bed.get({ ...followed, name: 'nobody' });
    const during = await registry.metrics();
    expect(during).toContain('lcow_streams{kind="exec"} 1');
    expect(during).toContain('lcow_streams{kind="log"} 0');
    expect(during).toContain('lcow_stream_bytes_total{kind="exec",direction="received"} 4');
    expect(during).toContain('lcow_stream_bytes_total{kind="exec",direction="sent"} 4');
    expect(read.text).not.toBe('');
    const size = Buffer.byteLength(read.text);
    expect(during).toContain(`lcow_stream_bytes_total{kind="log",direction="received"} ${size}`);
    expect(during).toContain('lcow_streams_refused_total{reason="NotFound"} 1');
    stream.close();
    await until(async () => (await registry.metrics()).includes('lcow_streams{kind="exec"} 0'));
    expect(await registry.metrics()).toContain('lcow_stream_bytes_total{kind="exec",direction="sent"} 4');
    bed.counts.refusedFor('whatever an agent says');
    expect(await registry.metrics()).toContain('lcow_streams_refused_total{reason="Other"} 1');
  });
});

describe("the front proxy's authority", () => {
  it('is replaced when the ConfigMap changes: the former one is refused, and open streams continue', async () => {
    const stream = await bed.open(cat).started();
    const former = bed.frontProxy;
    const kept = new https.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => kept.destroy());
    expect((await bed.get(tail, former, kept)).code).toBe(200);
    const next = await makeCertificates();
    expect((await bed.get(tail, next.frontProxy)).code).toBe(401);
    bed.believed = next;
    expect((await bed.get(tail, former)).code).toBe(200);
    await bed.clock.advance(60_000);
    await until(async () => (await bed.get(tail, next.frontProxy)).code === 200);
    expect((await bed.get(tail, former)).code).toBe(401);
    // The former authority is also refused on a connection that was kept open.
    expect((await bed.get(tail, former, kept)).code).toBe(401);
    await answers(stream, 'still there');
    stream.close();
    await until(() => bed.held === 0);
  });
});

describe('a client that never completes its request', () => {
  it('is not waited for', async () => {
    const stranger = await bed.connectStranger();
    stranger.write('GET /apis HTTP/1.1\r\nHost: operator\r\n');
    // A later request has been answered, so the operator has read this one.
    expect((await bed.get(tail)).code).toBe(200);
    const stream = await bed.open(cat).started();
    await bed.clock.advance(10_000);
    await until(() => stranger.closed);
    await answers(stream, 'in time');
    stream.close();
    await until(() => bed.held === 0);
  });
});

describe('a connection that has served a request', () => {
  it('has a limited time for the next one', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    expect((await bed.get(tail, bed.frontProxy, agent)).code).toBe(200);
    const [idle] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
    if (idle === undefined) throw new Error('the connection was not kept');
    idle.write('GET /apis HTTP/1.1\r\nHost: operator\r\n');
    await bed.clock.advance(99_000);
    expect((await bed.get(tail)).code).toBe(200);
    expect(idle.destroyed).toBe(false);
    await bed.clock.advance(1_000);
    await until(() => idle.destroyed);
  });
});

describe('a request with a body', () => {
  it('is refused, and its connection ends whether or not the body arrives', async () => {
    for (const header of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const client = await bed.connectAsFrontProxy();
      const answer = text(client);
      client.write(`GET /apis/subresources.lcow.dev HTTP/1.1\r\nHost: a\r\nX-Remote-User: u\r\n${header}\r\n\r\n`);
      expect(await answer).toContain('a request has no body here');
    }
  });

  it('of a stranger ends its connection as well', async () => {
    const stranger = await bed.connectStranger();
    const answer = text(stranger);
    stranger.write('GET /apis HTTP/1.1\r\nHost: operator\r\nContent-Length: 1000\r\n\r\n');
    expect(await answer).toContain('ask the API server');
  });
});

describe('a query that makes no sense', () => {
  it.each([
    ['log', 'tailLines=x', 'tailLines: Invalid value: "x": must be a whole number of at most 15 digits'],
    ['log', 'follow=perhaps', 'follow: Invalid value: "perhaps": must be true or false'],
    ['log', 'after=1', 'after: Invalid value: "1": must be <boot>.<sequence>, as lines with positions begin'],
    [
      'log',
      'tailLines=-1&follow=2',
      'Invalid value: "2": must be true or false; tailLines: Invalid value: "-1": must be a whole',
    ],
    ['exec', 'stdout=true', 'command: must be given at least once'],
    ['exec', 'command=a&tty=1&height=0', 'height: must be a whole number from 1 to 65535'],
    ['exec', 'command=a&tty=1&width=wide', 'width: Invalid value: "wide": must be a whole number from 1 to 65535'],
  ] as const)('is refused, and the answer names what is allowed: %s?%s', async (subresource, query, message) => {
    const refusal = await bed.refusalOf({ subresource, query });
    expect(refusal.code).toBe(400);
    expect(JSON.parse(refusal.text)).toMatchObject({ reason: 'BadRequest', message: expect.stringContaining(message) });
  });
});

describe('a VM that is removed', () => {
  it('ends its streams with the reason, and its agent keeps nothing of them', async () => {
    const [exec, console] = [await bed.open(sleep).started(), await bed.open({ subresource: 'console' }).started()];
    const log = await bed.follow(followed);
    const read = text(log).catch((error: Error) => error.message);
    await until(() => bed.held === 3 && bed.counts.size === 3);
    bed.remove();
    await until(() => exec.closed && console.closed);
    expect(exec.said.at(-1)).toEqual({ type: 'failed', problem: 'ExitCodeLost', message: 'the VM ended' });
    // The stream ends with the reservation of its pipe, possibly before the VM is known to be gone.
    expect([{ type: 'exited' }, gone]).toContainEqual(console.said.at(-1));
    // The log is aborted, so that it does not look complete. The next request gets the reason.
    expect(await read).toBe('aborted');
    await until(() => bed.held === 0 && bed.counts.size === 0);
    const { code, text: body } = await bed.get(followed);
    expect([code, JSON.parse(body).reason]).toEqual([503, 'NoSuchVirtualMachine']);
  });
});

describe('certificates that are renewed', () => {
  it('end no stream; the agent waits for streams before it renews its connection, but within a bound', async () => {
    await using short = await SubresourcesBed.start({ renewal: 3_000, streams: 2_000 });
    const stream = await short.open(cat).started();
    const session = short.sessions.of('node-a');
    const begun = performance.now();
    await short.renewCertificates();
    expect((await short.get(tail)).code).toBe(200);
    await answers(stream, 'over the old certificate');
    expect(short.sessions.of('node-a')).toBe(session);
    await until(() => stream.closed);
    expect(performance.now() - begun).toBeGreaterThan(500);
    expect(stream.said.at(-1)).toMatchObject({ type: 'failed', problem: 'SessionLost' });
    expect(short.sessions.of('node-a')).not.toBe(session);
    await until(() => short.sessions.of('node-a')?.streams === 'Ready');
    await answers(await short.open(cat).started(), 'over the new one');
  });
});
