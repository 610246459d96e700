// JSON schemas as kubeconform reads them: of our kinds from crds/, as a pipeline has them that has no cluster, and of the
// built-in kinds from what an API server publishes.
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

/** What kubeconform's `-schema-location` is told for a folder. */
export const schemaLocation = (folder: string) =>
  join(folder, '{{ .Group }}_{{ .ResourceAPIVersion }}_{{ .ResourceKind }}.json');

async function write(folder: string, { group, version, kind }: KindOf, schema: unknown): Promise<void> {
  // kubeconform has the version for the group of what has none, and kinds in lower case.
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
    // DeleteOptions and the like are of every group, and no manifest has them.
    if (kind === undefined || others.length > 0 || kind.group.endsWith('lcow.dev')) continue;
    await write(folder, kind, { $ref: `#/definitions/${name}`, definitions: all });
  }
}

/** What is not named is refused, as by the API server's strict validation. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!isObject(schema)) return schema;
  // Written as either, where OpenAPI v2 can only say that it is text: ports and quantities.
  if (schema['format'] === 'int-or-string' || isQuantity(schema)) return { type: ['string', 'number'] };
  const inner = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  const isClosed = isObject(schema['properties']) && schema['additionalProperties'] === undefined;
  return isClosed && schema['type'] === 'object' ? { ...inner, additionalProperties: false } : inner;
}

/** OpenAPI tells a quantity from other text by its description alone. */
function isQuantity({ type, description }: Readonly<Record<string, unknown>>): boolean {
  return type === 'string' && String(description).startsWith('Quantity is a fixed-point representation');
}
