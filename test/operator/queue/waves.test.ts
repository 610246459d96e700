import { describe, expect, it } from 'vitest';
import { linuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import { Judgements } from '../../../operator/controller/placement/judgements.ts';
import { type Candidate, needsOf, place } from '../../../operator/controller/placement/placement.ts';
import { namespaceOf } from '../../../operator/controller/triggers.ts';
import { Waves } from '../../../operator/queue/waves.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { makeHost, makeNode } from '../../support/operator/objects.ts';

describe('VMs that wait for a host', () => {
  it('are checked once for many causes, and large crowds less often than small ones', async () => {
    const clock = new ManualClock();
    const woken = new Map<string, number[]>();
    const start = clock.now();
    const waiting = ['small/a', ...Array.from({ length: 7_500 }, (_, index) => `crowd/${index}`)];
    const waves = new Waves({
      clock,
      waiting: () => waiting,
      namespaceOf,
      wake: (key) => woken.set(key, [...(woken.get(key) ?? []), clock.now() - start]),
    });
    for (let each = 0; each < 100; each += 1) {
      waves.request();
      await clock.advance(50);
    }
    const small = woken.get('small/a') ?? [];
    expect(small.length).toBeGreaterThan(15);
    expect(small[0]).toBe(200);
    expect(woken.get('crowd/0')).toEqual([200, 3_200]);
    waves.request();
    await clock.advance(10_000);
    expect(woken.get('crowd/7499')).toHaveLength(3); // the last cause is not lost
  });

  it('share one judgement while their needs are equal and no room appeared', () => {
    const candidates: Candidate[] = Array.from({ length: 500 }, (_, index) => ({
      host: makeHost(`host-${index}`),
      node: makeNode(`host-${index}`, { spec: { unschedulable: true } }),
      connected: true,
      promised: { memoryInMB: 0, virtualMachines: 0 },
    }));
    let judged = 0;
    const judgements = new Judgements((needs) => {
      judged += 1;
      return place(needs, candidates);
    });
    const needs = (sizeInMB: number) => needsOf(linuxUtilityVMSpec.parse({ memory: { sizeInMB } }));
    for (let each = 0; each < 7_500; each += 1) expect(judgements.of(needs(512)).placed).toBe(false);
    expect(judged).toBe(1);
    judgements.of(needs(1_024));
    expect(judged).toBe(2);
    for (const candidate of candidates.splice(0, 1)) candidates.push({ ...candidate, node: makeNode('host-0') });
    judgements.roomMayHaveComeUp();
    expect(judgements.of(needs(512)).placed).toBe(true);
    expect(judgements.of(needs(512)).placed).toBe(true);
    expect(judged).toBe(4); // room is judged each time, because the first VM may have taken it
  });
});
