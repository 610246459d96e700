// What the operator knows when the cluster may have been restored, and how the annotation of the Lease is set and
// removed.
import { describe, expect, it } from 'vitest';
import { Restoration, restoredAnnotation } from '../../../operator/controller/knowledge/restoration.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';

/** A Lease that is written with what the leader wants, and read again. */
function leaseOf(restoration: Restoration) {
  const lease = new Map<string, string>();
  const renew = () => {
    for (const [name, value] of Object.entries(restoration.annotations())) {
      if (value === undefined) lease.delete(name);
      else lease.set(name, value);
    }
    restoration.seen(Object.fromEntries(lease));
  };
  return { lease, renew };
}

describe('a restoration', () => {
  it('that an administrator announced lasts until every host has listed its VMs', () => {
    const restoration = new Restoration(new ManualClock());
    const { lease, renew } = leaseOf(restoration);
    renew();
    expect(restoration.pending).toBeUndefined();
    lease.set(restoredAnnotation, '2026-01-02T03:04:05Z');
    renew();
    expect(restoration.pending?.at).toBe(Date.parse('2026-01-02T03:04:05Z'));
    restoration.settle();
    expect(restoration.pending).toBeUndefined();
    renew();
    expect(lease.size).toBe(0);
    renew();
    lease.set(restoredAnnotation, 'again');
    renew();
    expect(restoration.pending).toEqual({ at: undefined, why: expect.stringContaining(restoredAnnotation) });
  });

  it('that a leader detected is published, so that the next leader knows', () => {
    const first = leaseOf(new Restoration(new ManualClock()));
    const found = new Restoration(new ManualClock());
    const { lease, renew } = leaseOf(found);
    found.suspect('an agent knows more');
    renew();
    renew();
    expect(lease.size).toBe(1);
    const next = new Restoration(new ManualClock());
    next.seen(Object.fromEntries(lease));
    expect(next.pending?.at).toBe(found.pending?.at);
    first.renew();
    expect(first.lease.size).toBe(0);
  });

  it('ends when somebody removes the annotation, and agents do not bring it back', () => {
    const restoration = new Restoration(new ManualClock());
    const { lease, renew } = leaseOf(restoration);
    restoration.suspect('an agent knows more');
    renew();
    lease.clear();
    restoration.seen({});
    expect(restoration.pending).toBeUndefined();
    restoration.suspect('an agent knows more');
    renew();
    expect(restoration.pending).toBeUndefined();
    expect(lease.size).toBe(0);
    lease.set(restoredAnnotation, '2026-01-02T03:04:05Z');
    renew();
    expect(restoration.pending).toBeDefined();
  });

  it('whose end a standby saw does not hide a later one from it', () => {
    const standby = new Restoration(new ManualClock());
    standby.seen({ [restoredAnnotation]: 'x' });
    standby.seen({});
    expect(standby.pending).toBeUndefined();
    standby.suspect('an agent knows more');
    expect(standby.pending).toBeDefined();
  });
});
