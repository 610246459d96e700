// Certificates over the years: at every moment, an agent that trusts the published bundle accepts the current
// certificate.
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { validityOf } from '../../../operator/certificates/authority.ts';
import { type CertificateSet, lifetimes, rotate, trustBundle } from '../../../operator/certificates/rotation.ts';

const day = 24 * 60 * 60_000;
const start = Date.parse('2026-01-01T00:00:00Z');
const names = ['lcow-operator.lcow.svc', '10.0.0.7'];

function certificatesIn(bundle: string): readonly X509Certificate[] {
  return (bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map(
    (pem) => new X509Certificate(pem),
  );
}

function trusts(bundle: string, { serving }: CertificateSet, now: number): boolean {
  const leaf = new X509Certificate(serving.certificate);
  const inTime = ({ validFrom, validTo }: X509Certificate) => Date.parse(validFrom) <= now && now < Date.parse(validTo);
  return (
    inTime(leaf) &&
    certificatesIn(bundle).some((authority) => inTime(authority) && leaf.verify(authority.publicKey) && authority.ca)
  );
}

describe('certificates', () => {
  it('name their service, and are not replaced without need', async () => {
    const first = await rotate(undefined, names, start);
    const leaf = new X509Certificate(first.serving.certificate);
    expect(leaf.checkHost('lcow-operator.lcow.svc')).toBeDefined();
    expect(leaf.checkIP('10.0.0.7')).toBeDefined();
    expect(leaf.ca).toBe(false);
    expect(await rotate(first, names, start + 10 * day)).toEqual(first);
    const renamed = await rotate(first, [...names, 'other.example'], start + 10 * day);
    expect(renamed.authority).toEqual(first.authority);
    expect(new X509Certificate(renamed.serving.certificate).checkHost('other.example')).toBeDefined();
  });

  it("are rotated for five years, so that a bundle that is three days old always accepts today's operator", async () => {
    let set = await rotate(undefined, names, start);
    let earlier = trustBundle(set);
    const authorities = new Set<string>();
    const leaves = new Set<string>();
    for (let now = start; now < start + 1_825 * day; now += 3 * day) {
      set = await rotate(set, names, now);
      authorities.add(set.authority.certificate);
      leaves.add(set.serving.certificate);
      expect(trusts(earlier, set, now)).toBe(true);
      expect(trusts(trustBundle(set), set, now)).toBe(true);
      expect(certificatesIn(trustBundle(set)).length).toBeLessThanOrEqual(3);
      earlier = trustBundle(set);
    }
    expect(authorities.size).toBeGreaterThan(2);
    expect(leaves.size).toBeGreaterThan(25);
  }, 60_000);

  /**
   * A third of the lifetime of a serving certificate. An operator that checks at least this often never serves an
   * expired one.
   */
  const longestPause = lifetimes.serving / 3;
  const pauses = fc.array(
    fc.oneof(fc.integer({ min: 1, max: longestPause }), fc.integer({ min: 1, max: 2 * lifetimes.announcement })),
    { minLength: 20, maxLength: 60 },
  );

  it('are accepted by a bundle of the last check, however irregular the checks are', async () => {
    await fc.assert(
      fc.asyncProperty(pauses, fc.integer({ min: 0, max: lifetimes.authority }), async (steps, age) => {
        // The authority can expire at any of the steps.
        let now = start + Math.min(age, (lifetimes.authority * 2) / 3);
        let set = await rotate(await rotate(undefined, names, start), names, now);
        for (const step of steps) {
          const bundle = trustBundle(set);
          now += step;
          // Nothing changes until the next check: the serving certificate is valid, and its authority is published.
          expect(trusts(bundle, set, now - 1)).toBe(true);
          set = await rotate(set, names, now);
          expect(trusts(trustBundle(set), set, now)).toBe(true);
          expect(trusts(bundle, set, now)).toBe(true);
        }
      }),
      { numRuns: 10, endOnFailure: true },
    );
  }, 60_000);

  it('are created again after years without a check, and when they cannot be read', async () => {
    const first = await rotate(undefined, names, start);
    const late = start + 5 * lifetimes.authority;
    const woken = await rotate(first, names, late);
    expect(trusts(trustBundle(woken), woken, late)).toBe(true);
    const broken = { ...first, authority: { certificate: 'x', key: 'y' }, serving: { certificate: '', key: '' } };
    const mended = await rotate(broken, names, start);
    expect(trusts(trustBundle(mended), mended, start)).toBe(true);
    expect(validityOf('x')).toBeUndefined();
  });
});
