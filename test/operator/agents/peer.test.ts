import { describe, expect, it } from 'vitest';
import { Peer, Peers, peerLimits } from '../../../operator/agents/peer.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

const minute = 60_000;

describe('the budgets of one node', () => {
  it('allow a dozen sessions at once, and six a minute after them', async () => {
    const clock = new ManualClock();
    const peer = new Peer(clock);
    const begun = () => Array.from({ length: 40 }, () => peer.mayBeginSession()).filter(Boolean).length;
    expect(begun()).toBe(12);
    await clock.advance(minute);
    expect(begun()).toBe(6);
  });

  it('limit bytes and messages a second; more of them wait', async () => {
    const clock = new ManualClock();
    const peer = new Peer(clock);
    const { burst, perSecond } = peerLimits.textBytes;
    expect(peer.received('text', burst)).toBe(0);
    expect(peer.received('text', perSecond)).toBe(1_000);
    await clock.advance(1_000);
    for (let each = 0; each < peerLimits.messages.burst; each += 1) peer.received('ping', 0);
    expect(peer.received('text', 1)).toBeGreaterThan(0);
  });

  it('leave room for text while a log is followed', () => {
    const peer = new Peer(new ManualClock());
    expect(peer.received('binary', peerLimits.binaryBytes.burst)).toBe(0);
    expect(peer.received('text', 1_000)).toBe(0);
  });

  it('are closed for a while after misbehaviour, longer each time, until the misbehaviour is forgiven', async () => {
    const clock = new ManualClock();
    const peer = new Peer(clock);
    const waits: number[] = [];
    for (let strike = 1; strike <= 12; strike += 1) {
      peer.keepOut();
      let waited = 0;
      while (!peer.mayConnect()) {
        waited += 500;
        await clock.advance(500);
      }
      waits.push(waited);
    }
    expect(waits.slice(0, 5)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
    expect(Math.max(...waits)).toBe(peerLimits.lastDelayMilliseconds);
    await clock.advance(30 * minute);
    expect(peer.isRested).toBe(true);
    peer.keepOut();
    await clock.advance(1_000);
    expect(peer.mayConnect()).toBe(true);
  });

  it('are remembered across sessions, for a bounded number of nodes', () => {
    const clock = new ManualClock();
    const peers = new Peers(() => new Peer(clock));
    const busy = peers.of('busy');
    busy.keepOut();
    for (let index = 0; index < 10_050; index += 1) peers.of(`node-${index}`);
    expect(peers.of('busy')).toBe(busy);
    expect(peers.of('node-10049')).toBe(peers.of('node-10049'));
  });
});
