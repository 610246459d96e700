// The bill of materials of an image, CycloneDX 1.6.
import type { LockedPackage } from './packages.ts';

export interface Product {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

export function billOfMaterials(product: Product, packages: readonly LockedPackage[]) {
  const main = { 'bom-ref': purl(product), type: 'application', ...described(product) };
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    // No time and no serial number: the same sources give the same bill.
    metadata: { component: main },
    components: packages.map((each) => ({
      'bom-ref': reference(each),
      type: 'library',
      ...described(each),
      ...hashesOf(each),
    })),
    dependencies: [{ ref: main['bom-ref'], dependsOn: packages.map(reference) }],
  };
}

/** A package can occur twice, with the same version at two paths. */
const reference = (locked: LockedPackage) => `${purl(locked)}#${locked.path}`;

function described({ name, version, license }: { name: string; version: string; license?: string | undefined }) {
  return {
    name,
    version,
    purl: purl({ name, version }),
    ...(license === undefined ? {} : { licenses: [licenseOf(license)] }),
  };
}

/** An identifier of the SPDX list, or an expression of identifiers. */
function licenseOf(license: string) {
  return /[\s()]/.test(license) ? { expression: license } : { license: { id: license } };
}

function purl({ name, version }: { name: string; version: string }): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** The lock file has hashes as `sha512-<base64>`. */
function hashesOf({ integrity }: LockedPackage) {
  const [algorithm, digest] = integrity?.split('-') ?? [];
  if (algorithm !== 'sha512' || digest === undefined) return {};
  return { hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }] };
}
