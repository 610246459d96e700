// Creates keys and certificates: our own authority, and certificates that it signs. The library needs the Reflect
// polyfill first.
import 'reflect-metadata';
import { createPrivateKey, X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

/** PEM: a certificate, and its key as PKCS #8. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface Validity {
  readonly from: number;
  readonly to: number;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
/** Clocks of nodes may be behind. */
const backdatedMilliseconds = 60 * 60_000;

export async function makeAuthority(now: number, lifetimeMilliseconds: number): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // Clients would confuse two authorities with the same name.
    name: `CN=lcow-operator ${new Date(now).toISOString()}`,
    ...period(now, lifetimeMilliseconds),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificate: certificate.toString('pem'), key: await privatePem(keys.privateKey) };
}

export async function signServing(
  authority: KeyPair,
  names: readonly string[],
  now: number,
  lifetimeMilliseconds: number,
): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    subject: 'CN=lcow-operator',
    issuer: new X509Certificate(authority.certificate).subject,
    ...period(now, lifetimeMilliseconds),
    publicKey: keys.publicKey,
    signingKey: await importPrivate(authority.key),
    signingAlgorithm: algorithm,
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
      ),
    ],
  });
  return { certificate: certificate.toString('pem'), key: await privatePem(keys.privateKey) };
}

/** Whether the key belongs to the certificate and both are valid. */
export function isPair({ certificate, key }: KeyPair): boolean {
  try {
    return new NodeCertificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** Undefined when the text is not a certificate. */
export function validityOf(certificate: string): Validity | undefined {
  const parsed = parse(certificate);
  return parsed && { from: parsed.notBefore.getTime() + backdatedMilliseconds, to: parsed.notAfter.getTime() };
}

/** The names that a serving certificate is valid for. */
export function namesOf(certificate: string): readonly string[] {
  const extension = parse(certificate)?.getExtension(SubjectAlternativeNameExtension);
  return extension?.names.items.map(({ value }) => value) ?? [];
}

export function isSignedBy(certificate: string, authority: string): boolean {
  const [one, other] = [parse(certificate), parse(authority)];
  return one !== undefined && other !== undefined && one.issuer === other.subject;
}

function parse(certificate: string): X509Certificate | undefined {
  try {
    return new X509Certificate(certificate);
  } catch {
    return undefined;
  }
}

function period(now: number, lifetimeMilliseconds: number) {
  return { notBefore: new Date(now - backdatedMilliseconds), notAfter: new Date(now + lifetimeMilliseconds) };
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

function importPrivate(pem: string): Promise<webcrypto.CryptoKey> {
  const [der] = PemConverter.decode(pem);
  if (der === undefined) throw new Error('the key of the authority is not in PEM form');
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}
