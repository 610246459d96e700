// The keys and certificates of a control plane, all signed by one authority that is created for it. The library needs
// the Reflect polyfill before it is loaded.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const day = 24 * 60 * 60 * 1000;

export interface Identity {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

export interface Certificates {
  /** The authority's certificate, PEM. */
  readonly authority: string;
  readonly serving: Identity;
  /** A member of system:masters, for whom RBAC allows everything. */
  readonly admin: Identity;
  readonly controllerManager: Identity;
  /** The identity of the API server towards aggregated API servers. */
  readonly frontProxy: Identity;
  /** The key that signs tokens of service accounts. */
  readonly serviceAccounts: { readonly publicKey: string; readonly key: string };
}

/** Includes the name under which an APIService reaches the operator. */
const servingNames = ['localhost', 'kubernetes.default.svc', 'lcow-operator.default.svc'];

/** The common name of the front proxy's certificate. */
export const frontProxyName = 'front-proxy-client';

/** `serviceAddress` is the address of the API server's Service. */
export async function makeCertificates(serviceAddress = '10.0.0.1'): Promise<Certificates> {
  const authority = await Authority.create();
  const [serving, admin, controllerManager, frontProxy, serviceAccounts] = await Promise.all([
    authority.serving('CN=kube-apiserver', servingNames, ['127.0.0.1', serviceAddress]),
    authority.client('CN=admin, O=system:masters'),
    authority.client('CN=system:kube-controller-manager'),
    authority.client(`CN=${frontProxyName}`),
    generateKeys(),
  ]);
  return {
    authority: authority.certificate,
    serving,
    admin,
    controllerManager,
    frontProxy,
    serviceAccounts: {
      publicKey: await pem('spki', serviceAccounts.publicKey),
      key: await pem('pkcs8', serviceAccounts.privateKey),
    },
  };
}

const authorityName = 'CN=lcow-operator test authority';

class Authority {
  readonly certificate: string;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: string, key: webcrypto.CryptoKey) {
    this.certificate = certificate;
    this.#key = key;
  }

  static async create(): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: authorityName,
      ...validity(),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.digitalSignature, true),
      ],
    });
    return new Authority(certificate.toString('pem'), keys.privateKey);
  }

  serving(subject: string, dnsNames: readonly string[], addresses: readonly string[]): Promise<Identity> {
    return this.#sign(subject, [
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([
        ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
        ...addresses.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ]);
  }

  client(subject: string): Promise<Identity> {
    return this.#sign(subject, [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])]);
  }

  async #sign(subject: string, extensions: Extension[]): Promise<Identity> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: authorityName,
      ...validity(),
      publicKey: keys.publicKey,
      signingKey: this.#key,
      signingAlgorithm: algorithm,
      extensions: [new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true), ...extensions],
    });
    return { certificate: certificate.toString('pem'), key: await pem('pkcs8', keys.privateKey) };
  }
}

/** Starts a day ago, so that a clock that is a little behind does not matter. */
function validity() {
  const now = Date.now();
  return { notBefore: new Date(now - day), notAfter: new Date(now + 365 * day) };
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function pem(format: 'spki' | 'pkcs8', key: webcrypto.CryptoKey): Promise<string> {
  const label = format === 'spki' ? 'PUBLIC KEY' : 'PRIVATE KEY';
  const base64 = Buffer.from(await webcrypto.subtle.exportKey(format, key)).toString('base64');
  return `-----BEGIN ${label}-----\n${base64.replace(/(.{64})(?=.)/g, '$1\n')}\n-----END ${label}-----\n`;
}
