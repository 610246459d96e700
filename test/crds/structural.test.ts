import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openApiSchema } from '../../crds/custom-resource-definition.ts';
import { listMap, listSet } from '../../crds/fields.ts';
import { requireStructural } from '../../crds/structural.ts';

/** The generator's error for a kind whose spec has this one field. */
function refusalOf(field: z.ZodType): string {
  return message(() => openApiSchema(z.object({ spec: z.object({ field }) })));
}

function message(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return String(error);
  }
  return 'taken';
}

interface Tree {
  children: Tree[];
}
const tree: z.ZodType<Tree> = z.object({ children: z.lazy(() => z.array(tree)) });
const item = z.object({ key: z.string().optional(), list: z.array(z.string()) });

describe('a zod schema that has no structural form is refused with its path', () => {
  test.each<[string, z.ZodType, string]>([
    ['alternatives', z.union([z.string(), z.int()]), 'spec.field: anyOf: types must not be alternatives'],
    [
      'told-apart alternatives',
      z.discriminatedUnion('kind', [z.object({ kind: z.literal('a') }), z.object({ kind: z.literal('b') })]),
      'spec.field: oneOf: types must not be alternatives',
    ],
    ['null', z.string().nullable(), 'spec.field: nullable: a field is left out rather than null'],
    ['a strict object', z.strictObject({ a: z.string() }), 'spec.field: additionalProperties: false is not structural'],
    ['a loose object', z.looseObject({ a: z.string() }), 'spec.field: has both properties and additionalProperties'],
    ['a tuple', z.tuple([z.string(), z.int()]), 'spec.field'],
    ['anything', z.unknown(), 'spec.field: type is undefined'],
    ['a map of anything', z.record(z.string(), z.unknown()), 'spec.field[*]: type is undefined'],
    ['a bound that excludes itself', z.number().gt(0), 'spec.field: exclusiveMinimum: write an inclusive minimum'],
    ['the same above', z.number().lt(1), 'spec.field: exclusiveMaximum: write an inclusive maximum'],
    ['a list of alternatives', z.array(z.union([z.string(), z.int()])), 'spec.field[]: anyOf'],
    ['a recursive schema', tree, 'spec.field: $ref: a structural schema has no references'],
    [
      'a key that is no member',
      z.array(item).meta(listMap('name')),
      'spec.field: the list-map key name is not a property',
    ],
    [
      'a key that may be absent',
      z.array(item).meta(listMap('key')),
      'the list-map key key must be required or have a default',
    ],
    ['a key that is a list', z.array(item).meta(listMap('list')), 'the list-map key list must be a scalar'],
    [
      'keys of a list that is not a map',
      z.array(item).meta({ 'x-kubernetes-list-map-keys': ['list'] }),
      'list-map keys',
    ],
    ['a set of objects', z.array(item).meta(listSet), 'spec.field: a list of type set must have scalar items'],
    ['an unknown keyword', z.string().meta({ example: 'x' }), 'spec.field: example is not a keyword'],
  ])('%s', (_, schema, expected) => {
    expect(refusalOf(schema)).toContain(expected);
  });

  test('a date is refused, because JSON cannot carry it', () => {
    expect(refusalOf(z.date())).toContain('Date cannot be represented');
  });
});

describe('a JSON schema that is not structural is refused with its path', () => {
  test.each<[string, unknown, string]>([
    ['no schema', true, 'the root: is not a schema'],
    ['a list of types', { type: ['string', 'null'] }, 'the root: type is ["string","null"]'],
    ['allOf', { type: 'object', allOf: [] }, 'allOf: types must not be combined'],
    ['const', { type: 'object', properties: { a: { type: 'string', const: 'x' } } }, 'a: const: write an enum'],
    ['not', { type: 'string', not: {} }, 'not: write a CEL rule'],
    ['propertyNames', { type: 'object', propertyNames: {} }, 'propertyNames: write a CEL rule over the keys'],
    ['patternProperties', { type: 'object', patternProperties: {} }, 'patternProperties: use a record'],
    ['prefixItems', { type: 'array', prefixItems: [] }, 'prefixItems: tuples are not structural'],
    ['items as a list', { type: 'array', items: [] }, 'items: tuples are not structural'],
    ['no items', { type: 'object', properties: { a: { type: 'array' } } }, 'a[]: is not a schema'],
    ['uniqueItems', { type: 'array', uniqueItems: true }, 'uniqueItems: use a list of type set or map'],
    ['$defs', { type: 'object', $defs: {} }, '$defs: a structural schema has no definitions'],
    ['definitions', { type: 'object', definitions: {} }, 'definitions: a structural schema has no definitions'],
    ['a default of null', { type: 'string', default: null }, 'the default must not be null'],
    ['a required member that does not exist', { type: 'object', required: ['a'] }, 'requires a, which is not among'],
    [
      'a map list without keys',
      { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'map' },
      'list-map keys',
    ],
  ])('%s', (_, schema, expected) => {
    expect(message(() => requireStructural(schema))).toContain(expected);
  });
});

test('a key with a default is present in every item', () => {
  const field = z.array(z.object({ key: z.int().default(0) })).meta(listMap('key'));
  expect(refusalOf(field)).toBe('taken');
});
