// Checks that a schema is a structural schema that the API server accepts. So a mistake in a zod schema is reported at
// generation, with the path of the field, instead of by a cluster. Only keywords that are known to be accepted pass.

type JsonObject = Readonly<Record<string, unknown>>;

export class StructuralError extends Error {
  override readonly name = 'StructuralError';

  constructor(path: string, problem: string) {
    super(`${path === '' ? 'the root' : path}: ${problem}`);
  }
}

const types: ReadonlySet<unknown> = new Set(['array', 'boolean', 'integer', 'number', 'object', 'string']);

const keywords: ReadonlySet<string> = new Set([
  'additionalProperties',
  'default',
  'description',
  'enum',
  'format',
  'items',
  'maxItems',
  'maxLength',
  'maxProperties',
  'maximum',
  'minItems',
  'minLength',
  'minProperties',
  'minimum',
  'multipleOf',
  'pattern',
  'properties',
  'required',
  'type',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
]);

/** Why a keyword that zod can emit is refused, and what to write instead. */
const refusals: Readonly<Record<string, string>> = {
  $ref: 'a structural schema has no references; inline the schema (a recursive one cannot be expressed)',
  $defs: 'a structural schema has no definitions; inline them (a recursive schema cannot be expressed)',
  definitions: 'a structural schema has no definitions; inline them (a recursive schema cannot be expressed)',
  anyOf: 'types must not be alternatives; give the field one type and use a CEL rule',
  oneOf: 'types must not be alternatives; give the field one type and use a CEL rule',
  allOf: 'types must not be combined; write one object schema',
  not: 'write a CEL rule instead',
  const: 'write an enum with one value instead',
  nullable: 'a field is left out rather than null; make it optional',
  exclusiveMinimum: 'write an inclusive minimum instead',
  exclusiveMaximum: 'write an inclusive maximum instead',
  propertyNames: 'write a CEL rule over the keys instead',
  patternProperties: 'use a record with a CEL rule over the keys instead',
  prefixItems: 'tuples are not structural; use an object',
  uniqueItems: 'use a list of type set or map instead',
};

/**
 * Returns `schema` unchanged. Throws a `StructuralError` that names the field if the API server would refuse the
 * schema.
 */
export function requireStructural(schema: unknown, path = ''): JsonObject {
  if (!isObject(schema)) throw new StructuralError(path, 'is not a schema');
  for (const keyword of Object.keys(schema)) requireKeyword(keyword, path);
  if (schema['x-kubernetes-int-or-string'] === true) return requireUntyped(schema, path);
  if (!types.has(schema['type'])) {
    throw new StructuralError(
      path,
      `type is ${JSON.stringify(schema['type'])}; it must be one of ${[...types].join(', ')}`,
    );
  }
  if (schema['default'] === null) throw new StructuralError(path, 'the default must not be null');
  if (schema['type'] === 'object') requireObject(schema, path);
  if (schema['type'] === 'array') requireArray(schema, path);
  return schema;
}

/** A field of two types must not name one of them. */
function requireUntyped(schema: JsonObject, path: string): JsonObject {
  if (schema['type'] !== undefined) throw new StructuralError(path, 'an int-or-string must not have a type');
  return schema;
}

function requireKeyword(keyword: string, path: string): void {
  const refusal = refusals[keyword];
  if (refusal !== undefined) throw new StructuralError(path, `${keyword}: ${refusal}`);
  if (!keywords.has(keyword)) throw new StructuralError(path, `${keyword} is not a keyword of a structural schema`);
}

function requireObject(schema: JsonObject, path: string): void {
  const { properties, additionalProperties } = schema;
  if (typeof additionalProperties === 'boolean') {
    throw new StructuralError(
      path,
      `additionalProperties: ${additionalProperties} is not structural; the API server prunes unknown fields, so use a plain object`,
    );
  }
  if (additionalProperties !== undefined) {
    if (properties !== undefined) {
      throw new StructuralError(path, 'has both properties and additionalProperties; use an object or a record');
    }
    requireStructural(additionalProperties, `${path}[*]`);
  }
  for (const [name, property] of Object.entries(isObject(properties) ? properties : {})) {
    requireStructural(property, path === '' ? name : `${path}.${name}`);
  }
  requireRequired(schema, path);
}

function requireRequired({ properties, required }: JsonObject, path: string): void {
  for (const name of stringsOf(required)) {
    if (!isObject(properties) || !Object.hasOwn(properties, name)) {
      throw new StructuralError(path, `requires ${name}, which is not among its properties`);
    }
  }
}

function requireArray(schema: JsonObject, path: string): void {
  const { items } = schema;
  if (Array.isArray(items)) throw new StructuralError(path, 'items: tuples are not structural; use an object');
  const item = requireStructural(items, `${path}[]`);
  const listType = schema['x-kubernetes-list-type'];
  const keys = stringsOf(schema['x-kubernetes-list-map-keys']);
  if ((listType === 'map') !== keys.length > 0) {
    throw new StructuralError(path, 'a list of type map, and no other, has list-map keys');
  }
  for (const key of keys) requireMapKey(item, key, path);
  if (listType === 'set' && (item['type'] === 'object' || item['type'] === 'array')) {
    throw new StructuralError(path, 'a list of type set must have scalar items');
  }
}

/** The API server identifies list items by their keys, so every item must have them. */
function requireMapKey(item: JsonObject, key: string, path: string): void {
  const properties = item['properties'];
  const property = isObject(properties) ? properties[key] : undefined;
  if (!isObject(property)) throw new StructuralError(path, `the list-map key ${key} is not a property of the items`);
  if (property['type'] === 'object' || property['type'] === 'array') {
    throw new StructuralError(path, `the list-map key ${key} must be a scalar`);
  }
  if (!stringsOf(item['required']).includes(key) && property['default'] === undefined) {
    throw new StructuralError(path, `the list-map key ${key} must be required or have a default`);
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}
