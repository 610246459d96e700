// docs/fields.md: every field of the kinds. Generated from the CustomResourceDefinitions, so that the page says
// what the API server checks.
import { parse } from 'yaml';
import { z } from 'zod';

interface Schema {
  readonly type?: string | undefined;
  readonly description?: string | undefined;
  readonly enum?: readonly unknown[] | undefined;
  readonly default?: unknown;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly maxItems?: number | undefined;
  readonly properties?: Readonly<Record<string, Schema>> | undefined;
  readonly items?: Schema | undefined;
  readonly additionalProperties?: Schema | undefined;
  readonly 'x-kubernetes-int-or-string'?: boolean | undefined;
  readonly 'x-kubernetes-validations'?: readonly { readonly message?: string | undefined }[] | undefined;
}

const schema: z.ZodType<Schema> = z.lazy(() =>
  z.looseObject({
    type: z.string().optional(),
    description: z.string().optional(),
    enum: z.array(z.unknown()).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    maxLength: z.number().optional(),
    maxItems: z.number().optional(),
    properties: z.record(z.string(), schema).optional(),
    items: schema.optional(),
    additionalProperties: schema.optional(),
    'x-kubernetes-int-or-string': z.boolean().optional(),
    'x-kubernetes-validations': z.array(z.looseObject({ message: z.string().optional() })).optional(),
  }),
);
const definition = z.object({
  spec: z.object({
    names: z.object({ kind: z.string() }),
    versions: z.tuple([z.object({ name: z.string(), schema: z.object({ openAPIV3Schema: schema }) })]),
  }),
});

const head = `<!-- Generated from crds/*.yaml by \`npm run generate\`; do not edit. -->

# Fields

Every field of the three kinds, with what the API server checks. A field of \`spec\` that is left out has the default of the host that the VM runs on.
\`[]\` is an item of a list, \`{}\` a value of a map.
`;

export function fieldsPage(definitions: readonly string[]): string {
  return [head, ...definitions.map(kindSection)].join('\n');
}

function kindSection(text: string): string {
  const { names, versions } = definition.parse(parse(text)).spec;
  const [{ name, schema }] = versions;
  const { openAPIV3Schema: root } = schema;
  const parts = Object.entries(root.properties ?? {}).filter(([part]) => part === 'spec' || part === 'status');
  return [`## ${names.kind} (${name})`, '', root.description ?? '', '', ...parts.flatMap(partSection)].join('\n');
}

function partSection([part, schema]: [string, Schema]): readonly string[] {
  const rows = [...fields(schema, part)].map(
    ([path, field]) => `| \`${path}\` | ${typeOf(field)} | ${aboutOf(field)} |`,
  );
  return [`### ${part}`, '', '| field | type | what it says |', '|---|---|---|', ...rows, ''];
}

function* fields(schema: Schema, parent: string): Generator<readonly [string, Schema]> {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const path = `${parent}.${name}`;
    yield [path, field];
    yield* fields(field, path);
    if (field.items !== undefined) yield* fields(field.items, `${path}[]`);
    if (field.additionalProperties !== undefined) yield* fields(field.additionalProperties, `${path}{}`);
  }
}

function typeOf(field: Schema): string {
  if (field.enum !== undefined) return field.enum.map((value) => `\`${String(value)}\``).join(' · ');
  const inner = field.items === undefined ? '' : ` of ${nameOf(field.items)}`;
  return [`${nameOf(field)}${inner}`, ...boundsOf(field)].join(', ');
}

function nameOf(field: Schema): string {
  return field['x-kubernetes-int-or-string'] === true ? 'integer or string' : (field.type ?? 'any');
}

function boundsOf({ minimum, maximum, maxLength, maxItems }: Schema): readonly string[] {
  const range = minimum === undefined && maximum === undefined ? [] : [`${minimum ?? '…'} to ${maximum ?? '…'}`];
  const length = maxLength === undefined ? [] : [`at most ${maxLength} characters`];
  return [...range, ...length, ...(maxItems === undefined ? [] : [`at most ${maxItems}`])];
}

function aboutOf(field: Schema): string {
  const standard = field.default === undefined ? [] : [`Default \`${JSON.stringify(field.default)}\`.`];
  const rules = (field['x-kubernetes-validations'] ?? []).flatMap(({ message }) =>
    message === undefined ? [] : message,
  );
  const checked = rules.length === 0 ? [] : [`Checked: ${rules.join('; ')}.`];
  return [field.description ?? '', ...standard, ...checked]
    .join(' ')
    .trim()
    .replaceAll(/\s+/g, ' ')
    .replaceAll('|', '\\|');
}
