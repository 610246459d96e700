// The values.schema.json of a chart. Helm refuses values by it that nothing reads or that make no sense.
import { isObject } from '../crds/structural.ts';
import type { Value } from './values-file.ts';

const secretName = { type: 'string', minLength: 1 };
const secretReference = { type: 'object', required: ['name'], properties: { name: secretName } };
const global = {
  type: 'object',
  description: 'Values of a parent chart. Others than these are not used here.',
  properties: {
    imageRegistry: { type: 'string', description: 'Goes before `image.registry`, unless empty.' },
    imagePullSecrets: {
      type: 'array',
      description: 'In addition to `imagePullSecrets`; names, or maps with a name.',
      items: { anyOf: [secretName, secretReference] },
    },
  },
};

type Schema = Readonly<Record<string, unknown>>;

export function valuesSchema(title: string, values: readonly Value[]): Schema {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title,
    ...group(values, {
      // Helm passes these to a subchart: `global`, and the value that the dependency's `condition` names.
      global,
      enabled: { type: 'boolean', description: 'For the `condition` of a parent chart; not used here.' },
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
  return { description, type: typeOf(given), ...explained(keywords), default: given };
}

/**
 * Puts `otherwise`, our message for a text that does not match its `pattern`, into the schema: JSON Schema has no
 * custom messages, but Helm's own message ends with this text: "value must be 'an absolute path …'". Helm escapes
 * backslashes and quotes, so `otherwise` should contain none.
 */
function explained(keywords: Schema): Schema {
  const { otherwise, items, ...rest } = keywords;
  return {
    ...rest,
    ...(isObject(items) && { items: explained(items) }),
    ...(otherwise !== undefined && { if: { pattern: rest['pattern'] }, else: { const: otherwise } }),
  };
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (Number.isInteger(value)) return 'integer';
  return value === null ? 'null' : typeof value;
}
