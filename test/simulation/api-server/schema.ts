// Prunes unknown fields and fills in defaults as an API server does by the OpenAPI schema of a custom resource.
import { isObject } from '../../../crds/structural.ts';

export type Completion = (value: unknown) => unknown;

/** Drops the fields that `schema` does not know, and adds the defaults of those that are absent. */
export function completionBy(schema: unknown): Completion {
  if (!isObject(schema)) return unchanged;
  const { type, properties, additionalProperties, items } = schema;
  if (type === 'object' && isObject(properties)) return members(properties);
  if (type === 'object' && additionalProperties !== undefined) return entries(completionBy(additionalProperties));
  if (type === 'array') return elements(completionBy(items));
  return unchanged;
}

const unchanged: Completion = (value) => value;

interface Property {
  readonly name: string;
  readonly complete: Completion;
  readonly fallback: unknown;
}

function members(properties: Readonly<Record<string, unknown>>): Completion {
  const known = Object.entries(properties).map(
    ([name, schema]): Property => ({
      name,
      complete: completionBy(schema),
      fallback: isObject(schema) ? schema['default'] : undefined,
    }),
  );
  return (value) => {
    if (!isObject(value)) return value;
    const result: Record<string, unknown> = {};
    for (const { name, complete, fallback } of known) {
      const given = value[name] ?? fallback;
      if (given !== undefined) result[name] = complete(given);
    }
    return result;
  };
}

function entries(complete: Completion): Completion {
  return (value) => {
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, complete(entry)]));
  };
}

function elements(complete: Completion): Completion {
  return (value) => (Array.isArray(value) ? value.map((element) => complete(element)) : value);
}
