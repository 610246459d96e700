// JSON schemas for kubeconform: of our kinds from crds/, as in a pipeline without a cluster, and of the built-in kinds
// from the API server.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { isObject } from '../../../crds/structural.ts';
import { type KubectlTarget, kubectl } from '../control-plane/kubectl.ts';

const customResource = z.object({
  spec: z.object({
    group: z.string(),
    names: z.object({ kind: z.string() }),
    versions: z.array(z.object({ name: z.string(), schema: z.object({ openAPIV3Schema: z.unknown() }) })),
  }),
});

const kindOf = z.object({ group: z.string(), version: z.string(), kind: z.string() });
type KindOf = z.infer<typeof kindOf>;
const definition = z.looseObject({ 'x-kubernetes-group-version-kind': z.array(kindOf).default([]) });
const published = z.object({ definitions: z.record(z.string(), definition) });

/** The value of kubeconform's `-schema-location` for a folder. */
export const schemaLocation = (folder: string) =>
  join(folder, '{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json');

async function write(folder: string, { group, version, kind }: KindOf, schema: unknown): Promise<void> {
  // kubeconform uses the version as the group of the core group, and kinds in lower case.
  const name = `${group === '' ? version : group}_${version}_${kind.toLowerCase()}.json`;
  await writeFile(join(folder, name), JSON.stringify(schema));
}

export async function writeOwnSchemas(folder: string): Promise<void> {
  const crds = new URL('../../../crds/', import.meta.url);
  for (const file of (await readdir(crds)).filter((name) => name.endsWith('.yaml'))) {
    const { spec } = customResource.parse(parse(await readFile(new URL(file, crds), 'utf8')));
    for (const { name, schema } of spec.versions) {
      await write(folder, { group: spec.group, version: name, kind: spec.names.kind }, closed(schema.openAPIV3Schema));
    }
  }
}

export async function writeBuiltInSchemas(folder: string, cluster: KubectlTarget): Promise<void> {
  const { definitions } = published.parse(JSON.parse(await kubectl(cluster, ['get', '--raw', '/openapi/v2'])));
  const all = closed(definitions);
  for (const [name, { 'x-kubernetes-group-version-kind': kinds }] of Object.entries(definitions)) {
    const [kind, ...others] = kinds;
    // DeleteOptions and similar kinds belong to every group and occur in no manifest.
    if (kind === undefined || others.length > 0 || kind.group.endsWith('lcow.dev')) continue;
    await write(folder, kind, { $ref: `#/definitions/${name}`, definitions: all });
  }
}

/** Refuses unknown members, like the API server's strict validation. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!isObject(schema)) return schema;
  // Ports and quantities may be text or numbers, but OpenAPI v2 can only say text.
  if (schema['format'] === 'int-or-string' || isQuantity(schema)) return { type: ['string', 'number'] };
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  const isClosed = isObject(schema['properties']) && schema['additionalProperties'] === undefined;
  return isClosed && schema['type'] === 'object' ? { ...inner, additionalProperties: false } : inner;
}

/** In OpenAPI only the description distinguishes a quantity from other text. */
function isQuantity({ type, description }: Readonly<Record<string, unknown>>): boolean {
  return type === 'string' && String(description).startsWith('Quantity is a fixed-point representation');
}
