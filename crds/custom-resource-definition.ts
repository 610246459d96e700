// The CustomResourceDefinition of a kind: its zod schema as an OpenAPI schema, with names, columns and subresource.
import { z } from 'zod';
import type { Kind, PrinterColumn } from './kind.ts';
import { group, version } from './names.ts';
import { isObject, requireStructural } from './structural.ts';

/** Throws a `StructuralError` if the API server would refuse the schema. */
export function customResourceDefinition(kind: Kind) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}` },
    spec: {
      group,
      scope: kind.scope,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: kind.categories,
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {}, ...(kind.scale && { scale: kind.scale }) },
          additionalPrinterColumns: kind.columns.map(printerColumn),
          ...(kind.selectableFields.length > 0 && {
            selectableFields: kind.selectableFields.map((jsonPath) => ({ jsonPath })),
          }),
          schema: { openAPIV3Schema: openApiSchema(kind.schema) },
        },
      ],
    },
  };
}

function printerColumn({ wide, ...column }: PrinterColumn) {
  return wide === true ? { ...column, priority: 1 } : column;
}

/** The schema of a whole object. The API server adds the schema of the members that every object has. */
export function openApiSchema(schema: z.ZodObject) {
  const { properties, required, ...root } = z.toJSONSchema(schema, {
    target: 'openapi-3.0',
    // The schema of a manifest: fields that have a default may be left out.
    io: 'input',
    unrepresentable: 'throw',
    override: ({ jsonSchema }) => {
      if (jsonSchema[intOrString] === true) delete jsonSchema.anyOf;
    },
  });
  const members = Object.entries(properties ?? {}).filter(([name]) => !standardMembers.has(name));
  const complete = {
    ...Object.fromEntries(Object.entries(root).filter(([keyword]) => !surplus.has(keyword))),
    properties: {
      apiVersion: { type: 'string', description: 'Group and version of the kind.' },
      kind: { type: 'string', description: 'The kind of the object.' },
      metadata: { type: 'object' },
      ...Object.fromEntries(members),
    },
    ...requiredMembers(required ?? []),
  };
  return requireStructural(complete);
}

/** Says both types by itself, so the alternatives of a zod union are left out. */
const intOrString = 'x-kubernetes-int-or-string';

/**
 * Keywords that zod adds for itself, and the definitions that references lead to. The references are refused where they
 * stand, which gives a better message.
 */
const surplus: ReadonlySet<string> = new Set(['~standard', 'definitions']);

const standardMembers: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

function requiredMembers(required: readonly string[]): { required?: readonly string[] } {
  const own = required.filter((name) => !standardMembers.has(name));
  return own.length > 0 ? { required: own } : {};
}

/** A field of a kind, for code that visits all fields. */
export interface Field {
  /** Members joined by `.`, items of a list marked `[]`, values of a map `[*]`. */
  readonly path: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

/** Every schema below `schema`, outer ones first. */
export function* fieldsOf(schema: Readonly<Record<string, unknown>>, path = ''): Generator<Field> {
  const { properties, items, additionalProperties } = schema;
  const below: [string, unknown][] = isObject(properties)
    ? Object.entries(properties).map(([name, property]) => [path === '' ? name : `${path}.${name}`, property])
    : [];
  below.push([`${path}[]`, items], [`${path}[*]`, additionalProperties]);
  for (const [innerPath, inner] of below) {
    if (!isObject(inner)) continue;
    yield { path: innerPath, schema: inner };
    yield* fieldsOf(inner, innerPath);
  }
}
