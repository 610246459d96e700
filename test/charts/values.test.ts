import { describe, expect, it } from 'vitest';
import { crdTemplate } from '../../charts/crd-template.ts';
import { dashboardFiles } from '../../charts/dashboards/dashboard.ts';
import { readMetrics } from '../../charts/dashboards/metrics.ts';
import { staleFiles, withTable } from '../../charts/generate.ts';
import { readValues } from '../../charts/values-file.ts';
import { valuesSchema } from '../../charts/values-schema.ts';
import { valuesTable } from '../../charts/values-table.ts';

const example = `# About the file.

# How many | at most.
# @schema {minimum: 1}
count: 2

image:
  # The tag.
  # @schema {pattern: '^v'}
  tag: ""
# Labels
# for all.
# @schema {additionalProperties: {type: string}}
labels:
  a: b
`;

describe('generated files of the charts', () => {
  it('are current', () => {
    expect(staleFiles()).toEqual([]);
  });
});

describe('values.yaml', () => {
  it('becomes a closed schema', () => {
    const { properties, ...rest } = valuesSchema('Values', readValues(example));
    expect(rest).toMatchObject({ type: 'object', additionalProperties: false });
    expect(properties).toMatchObject({
      count: { type: 'integer', minimum: 1, default: 2, description: 'How many | at most.' },
      image: {
        type: 'object',
        additionalProperties: false,
        properties: { tag: { type: 'string', pattern: '^v', default: '', description: 'The tag.' } },
      },
      labels: { type: 'object', additionalProperties: { type: 'string' }, default: { a: 'b' } },
    });
  });

  it('describes the expected text when a value does not match its pattern', () => {
    const text = "# A.\n# @schema {items: {type: string, pattern: '^b', otherwise: a word with b}}\nlist: []\n";
    expect(valuesSchema('Values', readValues(text)).properties).toMatchObject({
      list: { items: { pattern: '^b', if: { pattern: '^b' }, else: { const: 'a word with b' } } },
    });
  });

  it('becomes a table with one line for each value', () => {
    expect(valuesTable(readValues(example)).split('\n').slice(2)).toEqual([
      '| `count` | `2` | How many \\| at most. |',
      '| `image.tag` | `""` | The tag. |',
      '| `labels` | `{"a":"b"}` | Labels for all. |',
    ]);
  });

  it.each([
    ['a value that is not described', 'a:\n  b: 1\n', 'a.b is not described'],
    ['keywords that are no map', '# A.\n# @schema true\na: 1\n', '@schema of a is not a map'],
    ['broken YAML', '# A.\na: [\n', 'Flow sequence'],
  ])('is refused with %s', (_, text, message) => {
    expect(() => readValues(text)).toThrow(message);
  });
});

describe('dashboards', () => {
  it('show every metric, or say why not, and no unknown metric', async () => {
    const metrics = await readMetrics();
    expect(dashboardFiles(metrics)).toHaveLength(4);
    expect(() => dashboardFiles(new Map([...metrics, ['lcow_new_total', 'New.']]))).toThrow('shows lcow_new_total');
    const fewer = new Map([...metrics].filter(([name]) => name !== 'lcow_leader'));
    expect(() => dashboardFiles(fewer)).toThrow('asks for lcow_leader, which nothing reports');
  });
});

describe('generated content', () => {
  it('is refused in a file without a place for it', () => {
    expect(() => withTable('# Chart\n', '')).toThrow('README.md lacks');
    expect(() => crdTemplate('apiVersion: v1\n')).toThrow('not a generated');
    expect(() => crdTemplate('# Generated\nmetadata:\n  name: a\nspec: "{{"\n')).toThrow('braces');
  });
});
