import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Field, fieldsOf, openApiSchema } from '../../crds/custom-resource-definition.ts';
import { differences, generatedFiles } from '../../crds/generate.ts';
import { linuxUtilityVM } from '../../crds/linux-utility-vm.ts';
import { linuxUtilityVMHost } from '../../crds/linux-utility-vm-host.ts';
import { linuxUtilityVMSetKind } from '../../crds/linux-utility-vm-set.ts';

const folder = new URL('../../crds/', import.meta.url);
const kinds = [linuxUtilityVM, linuxUtilityVMHost, linuxUtilityVMSetKind.schema].map(openApiSchema);

describe('the checked-in CRDs', () => {
  test('equal the output of the generator', () => {
    const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
    const present = new Map(names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
    expect(differences(generatedFiles(), present)).toEqual([]);
  });
});

describe('the check names', () => {
  const expected = new Map([['a.yaml', 'a']]);

  test.each([
    ['a file that is missing', [], 'crds/a.yaml is missing'],
    ['a file that is not current', [['a.yaml', 'b']], 'crds/a.yaml differs from its schema'],
  ] as const)('%s', (_, present, message) => {
    expect(differences(expected, new Map(present))).toEqual([message]);
  });

  test('a file that nothing generates', () => {
    const present = new Map([...expected, ['old.yaml', '']]);
    expect(differences(expected, present)).toEqual(['crds/old.yaml is of no kind']);
  });
});

describe.each([
  ['LinuxUtilityVM', kinds[0]],
  ['LinuxUtilityVMHost', kinds[1]],
  ['LinuxUtilityVMSet', kinds[2]],
])('%s', (_, schema = {}) => {
  const fields = [...fieldsOf(schema)];
  const named = fields.filter(({ path }) => path !== 'metadata' && !path.endsWith(']'));
  const under = (member: string) => fields.filter(({ path }) => path.startsWith(`${member}.`));

  test('explains every field', () => {
    const unexplained = named.filter(({ schema }) => typeof schema['description'] !== 'string');
    expect(unexplained.map(({ path }) => path)).toEqual([]);
  });

  test('bounds every text, list, map and number, so that every object has a maximum size', () => {
    const unbounded = [...under('spec'), ...under('status')].filter(({ schema }) => !isBounded(schema));
    expect(unbounded.map(({ path }) => path)).toEqual([]);
  });

  test('says for every list how it is merged', () => {
    const lists = fields.filter(({ schema }) => schema['type'] === 'array');
    expect(lists.filter(({ schema }) => schema['x-kubernetes-list-type'] === undefined)).toEqual([]);
  });

  test('has root rules only for transitions, because other rules would block the deletion of older objects', () => {
    const rules = JSON.stringify(schema['x-kubernetes-validations'] ?? []);
    for (const rule of JSON.parse(rules)) expect(rule).toHaveProperty('rule', expect.stringContaining('oldSelf'));
  });
});

const bounds: Readonly<Record<string, readonly string[]>> = {
  string: ['maxLength', 'enum'],
  integer: ['maximum'],
  array: ['maxItems'],
  boolean: ['type'],
};

function isBounded(schema: Field['schema']): boolean {
  const type = String(schema['type']);
  const needed = type === 'object' && schema['additionalProperties'] !== undefined ? ['maxProperties'] : bounds[type];
  return needed === undefined || needed.some((keyword) => schema[keyword] !== undefined);
}
