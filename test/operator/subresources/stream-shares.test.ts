import { describe, expect, it } from 'vitest';
import { maximumStreams, StreamShares } from '../../../operator/subresources/stream-shares.ts';
import { streamLimits } from '../../../protocol/streams/messages.ts';

function takeAll(shares: StreamShares, namespace: string, nodeName: string): (() => void)[] {
  const releases: (() => void)[] = [];
  for (;;) {
    const share = shares.take(namespace, nodeName);
    if (!('release' in share)) return releases;
    releases.push(share.release);
  }
}

describe('the streams of a host', () => {
  it('are not all given to one namespace, however many it asks for', () => {
    const shares = new StreamShares();
    const greedy = takeAll(shares, 'greedy', 'win-0');
    expect(greedy).toHaveLength(streamLimits.perSession / 2);
    expect(shares.take('greedy', 'win-0')).toEqual({ of: 'host' });
    const others = ['a', 'b', 'c'].map((namespace) => takeAll(shares, namespace, 'win-0').length);
    expect(Math.min(...others)).toBeGreaterThanOrEqual(4);
    expect(shares.size).toBeLessThanOrEqual(streamLimits.perSession);
  });

  it('are free again once they have ended', () => {
    const shares = new StreamShares();
    for (const release of takeAll(shares, 'greedy', 'win-0')) release();
    expect(shares.size).toBe(0);
    expect(takeAll(shares, 'greedy', 'win-0')).toHaveLength(streamLimits.perSession / 2);
  });
});

describe('the streams of all hosts', () => {
  it('are not all given to one namespace either', () => {
    const shares = new StreamShares();
    for (let host = 0; host < 32; host += 1) takeAll(shares, 'greedy', `win-${host}`);
    expect(shares.size).toBe(maximumStreams / 2);
    expect(shares.take('greedy', 'win-40')).toEqual({ of: 'all' });
    expect(shares.take('modest', 'win-0')).toHaveProperty('release');
  });
});
