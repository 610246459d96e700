// Decides which certificates are needed, given the existing ones and the time. The decision is pure, except that it
// creates keys. A new authority is published a day before it signs anything, and an old one stays published until it
// expires. So an agent that trusts a published bundle reaches the operator at any time.
//
//   authority ──a third of its life left──► + successor ──a day later──► successor signs, the old one is still trusted
import { isSignedBy, type KeyPair, makeAuthority, namesOf, signServing, validityOf } from './authority.ts';

export interface CertificateSet {
  readonly authority: KeyPair;
  /** Trusted already, but not signing yet. */
  readonly successor: KeyPair | undefined;
  /** Still trusted. */
  readonly former: string | undefined;
  readonly serving: KeyPair;
}

const day = 24 * 60 * 60_000;
export const lifetimes = { authority: 730 * day, serving: 90 * day, announcement: day } as const;

/** The stored certificates that are usable. */
export type StoredCertificates = Omit<CertificateSet, 'serving'> & Partial<Pick<CertificateSet, 'serving'>>;

export async function rotate(
  stored: StoredCertificates | undefined,
  names: readonly string[],
  now: number,
): Promise<CertificateSet> {
  const authorities = await rotateAuthorities(stored, now);
  const serving = stored?.serving;
  if (serving !== undefined && isGood(serving, authorities.authority, names, now)) return { ...authorities, serving };
  return { ...authorities, serving: await signServing(authorities.authority, names, now, lifetimes.serving) };
}

/** The certificates that agents trust. */
export function trustBundle({ authority, successor, former }: CertificateSet): string {
  return [authority.certificate, successor?.certificate, former]
    .flatMap((certificate) => (certificate === undefined ? [] : [`${certificate.trim()}\n`]))
    .join('');
}

type Authorities = Omit<CertificateSet, 'serving'>;

async function rotateAuthorities(stored: StoredCertificates | undefined, now: number): Promise<Authorities> {
  if (stored === undefined || fractionLeft(stored.authority.certificate, now) <= 0) {
    const successor = stored?.successor;
    const authority = successor ?? (await makeAuthority(now, lifetimes.authority));
    return { authority, successor: undefined, former: undefined };
  }
  const { authority, successor } = stored;
  const former = stored.former !== undefined && fractionLeft(stored.former, now) > 0 ? stored.former : undefined;
  if (successor === undefined) {
    if (fractionLeft(authority.certificate, now) > 1 / 3) return { authority, successor, former };
    return { authority, successor: await makeAuthority(now, lifetimes.authority), former };
  }
  const announcedAt = validityOf(successor.certificate)?.from ?? now;
  if (now - announcedAt < lifetimes.announcement) return { authority, successor, former };
  return { authority: successor, successor: undefined, former: authority.certificate };
}

function isGood(serving: KeyPair, authority: KeyPair, names: readonly string[], now: number): boolean {
  return (
    fractionLeft(serving.certificate, now) > 1 / 3 &&
    isSignedBy(serving.certificate, authority.certificate) &&
    names.every((name) => namesOf(serving.certificate).includes(name))
  );
}

/** The fraction of a certificate's life that is left; 0 for a text that is not a certificate. */
function fractionLeft(certificate: string, now: number): number {
  const validity = validityOf(certificate);
  return validity === undefined ? 0 : (validity.to - now) / (validity.to - validity.from);
}
