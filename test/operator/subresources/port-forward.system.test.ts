// `portforward`, from the user's WebSocket to a program in a simulated guest.
import { Registry } from 'prom-client';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { registerStreamMetrics } from '../../../operator/metrics/streams.ts';
import { reviewBounds } from '../../../operator/subresources/access-reviews.ts';
import { ForwardShares, maximumForwards } from '../../../operator/subresources/forward-shares.ts';
import { forwardLimits, inspectionCapability, streamsCapability } from '../../../protocol/streams/messages.ts';
import { says } from '../../support/operator/stand-in-reviewer.ts';
import { SubresourcesBed } from '../../support/operator/subresources-bed.ts';
import { until } from '../../support/until.ts';

const to = (port: number | string) => ({ subresource: 'portforward', query: `port=${port}` }) as const;
const [echo, http] = [7, 80];

let bed: SubresourcesBed;
beforeAll(async () => {
  bed = await SubresourcesBed.start();
});
afterAll(() => bed[Symbol.asyncDispose]());
beforeEach(async () => {
  bed.reviewer.answers = says({ allowed: true });
  await forgetReviews();
});

/** Verdicts are kept for a while. */
async function forgetReviews(): Promise<void> {
  await bed.clock.advance(reviewBounds.rememberedMilliseconds + 1);
}

async function reasonFor(port: number | string): Promise<{ readonly code: number; readonly reason: string }> {
  const { code, text } = await bed.refusalOf(to(port));
  return { code, reason: JSON.parse(text).reason };
}

describe('a port that is forwarded', () => {
  it('carries bytes in both directions, and each ends separately', async () => {
    const stream = await bed.open(to(http)).started();
    stream.type('GET /path HTTP/1.0\r\n\r\n');
    stream.endInput();
    await until('the answer is complete', () => stream.outputEnded && stream.closed);
    expect(stream.stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(stream.stdout).toMatch(/Hello from the simulated guest of luvm-\S+: GET \/path\n$/);
    expect(stream.said.at(-1)).toEqual({ type: 'exited' });
  });

  it('carries much more than its windows, in both directions at once', async () => {
    const stream = await bed.open(to(echo)).started();
    const chunk = '0123456789abcdef'.repeat(4_096);
    for (let sent = 0; sent < 64; sent += 1) stream.type(chunk);
    stream.endInput();
    await until('the echo is complete', () => stream.closed);
    expect(stream.stdout === chunk.repeat(64)).toBe(true);
    expect(stream.said.at(-1)).toEqual({ type: 'exited' });
  });

  it('is audited and measured like a process', async () => {
    const registry = new Registry();
    registerStreamMetrics(registry, bed.counts);
    const stream = await bed.open(to(echo)).started();
    stream.type('ping');
    await until('the echo', () => stream.stdout === 'ping');
    expect(await registry.metrics()).toContain('lcow_streams{kind="portforward"} 1');
    stream.close();
    await until('it is over', async () => (await registry.metrics()).includes('lcow_streams{kind="portforward"} 0'));
    const line = bed.logged.findLast((each) => each.includes('a user has a stream'));
    expect(JSON.parse(line ?? '')).toMatchObject({
      vm: 'default/vm',
      user: 'somebody',
      subresource: 'portforward',
      port: echo,
    });
  });

  it('needs the right to create, and a WebSocket', async () => {
    bed.reviewer.answers = says({ allowed: false });
    expect(await reasonFor(80)).toEqual({ code: 403, reason: 'Forbidden' });
    expect(bed.reviewer.asked.at(-1)?.resourceAttributes).toMatchObject({ subresource: 'portforward', verb: 'create' });
    expect((await bed.get(to(80))).code).toBe(400);
  });

  it('must be one that the agent does not use, on which a program listens', async () => {
    expect(await reasonFor(109)).toEqual({ code: 403, reason: 'PortNotAllowed' });
    expect(await reasonFor(0x4000_0000)).toEqual({ code: 403, reason: 'PortNotAllowed' });
    expect(await reasonFor(81)).toEqual({ code: 409, reason: 'ConnectionRefused' });
    for (const port of ['', 'x', '-1', '4294967296']) expect((await reasonFor(port)).code).toBe(400);
  });

  it('needs an agent that knows it: an earlier one is sent nothing', async () => {
    const agent = await bed.connectScriptedAgent('earlier', [streamsCapability, inspectionCapability]);
    onTestFinished(() => agent.disconnect());
    const { code, text } = await bed.refusalOf({ ...to(80), name: 'earlier' });
    expect([code, JSON.parse(text).message]).toEqual([
      501,
      'the agent of node-b is of an earlier version, which has no portforward: upgrade it',
    ]);
    expect(agent.received.map(({ type }) => type)).toEqual(['welcome', 'desired']);
  });
});

describe('many connections', () => {
  it('to one VM are bounded, and take no place of other streams', async () => {
    const opened = Array.from({ length: forwardLimits.perVirtualMachine }, () => bed.open(to(echo)));
    onTestFinished(async () => {
      for (const each of opened) each.close();
      await until('all are closed', () => bed.held === 0);
    });
    await Promise.all(opened.map((each) => each.started()));
    expect(await reasonFor(echo)).toEqual({ code: 429, reason: 'TooManyConnections' });
    const shell = await bed.open({ subresource: 'exec', query: 'command=cat&stdin=true&stdout=true' }).started();
    shell.type('still here');
    await until('the shell answers', () => shell.stdout === 'still here');
    shell.close();
    // Each has its own data, and the end of one is that of no other.
    opened[0]?.close();
    for (const [index, each] of opened.entries()) if (index > 0) each.type(`number ${index}`);
    await until('the echoes', () => opened.every(({ stdout }, index) => index === 0 || stdout === `number ${index}`));
  });

  it('of one user are bounded, also over namespaces', () => {
    const shares = new ForwardShares();
    const taken = Array.from({ length: forwardLimits.perUser }, (_, index) =>
      shares.take(`ns-${index}`, `host-${index}`, 'greedy'),
    );
    expect(shares.take('ns', 'host', 'greedy')).toEqual({ of: 'user' });
    expect(shares.take('ns', 'host', 'other')).toHaveProperty('release');
    for (const each of taken) if ('release' in each) each.release();
    expect(shares.take('ns', 'host', 'greedy')).toHaveProperty('release');
  });

  it('of one namespace are bounded, on a host and in total', () => {
    const shares = new ForwardShares();
    const take = (count: number, host: string) =>
      Array.from({ length: count }, (_, index) => shares.take('ns', host, `user-${index}`)).filter(
        (share) => 'release' in share,
      ).length;
    expect(take(200, 'host-1')).toBe(forwardLimits.perSession / 2);
    expect(take(maximumForwards, 'host-2')).toBe(maximumForwards / 2 - forwardLimits.perSession / 2);
    expect(shares.take('ns', 'host-3', 'somebody')).toEqual({ of: 'all' });
  });
});
