// The values.schema.json of a chart, by which Helm refuses values that nothing would read or that cannot be meant.
import type { Value } from './values-file.ts';

type Schema = Readonly<Record<string, unknown>>;

export function valuesSchema(title: string, values: readonly Value[]): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title,
    ...group(values, {
      // Helm hands these down to every chart that is part of another.
      global: { type: 'object', description: 'Values of a parent chart; not used here.' },
    }),
  };
}

function group(values: readonly Value[], more: Readonly<Record<string, Schema>> = {}): Schema {
  const own = Object.fromEntries(values.map((value) => [value.name, schemaOf(value)]));
  return { type: 'object', additionalProperties: false, properties: { ...own, ...more } };
}

function schemaOf(value: Value): Schema {
  if (value.members.length > 0) return group(value.members);
  const { description, keywords, default: given } = value;
  return { description, type: typeOf(given), ...keywords, default: given };
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (Number.isInteger(value)) return 'integer';
  return value === null ? 'null' : typeof value;
}
