// Prometheus' own engine over metrics that were really scraped: `promtool test rules` gets them as series.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promtool } from './judges.ts';

/** The labels that Prometheus gives a target, and where it scrapes it. */
export interface Target {
  readonly url: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Series to its values in the order of the scrapes; undefined where a scrape did not have it. */
export type Series = ReadonlyMap<string, readonly (string | undefined)[]>;

export async function scrape(targets: readonly Target[]): Promise<ReadonlyMap<string, string>> {
  const all = await Promise.all(
    targets.map(async ({ url, labels }) => {
      const text = await (await fetch(url)).text();
      return [...text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/gm)].map(
        ([, name = '', own = '', value = '']) => [`${name}{${joined(own, labels)}}`, value] as const,
      );
    }),
  );
  return new Map(all.flat());
}

/** As Prometheus does without `honorLabels`: a label of the metric that the target has too gets a prefix. */
function joined(own: string, target: Readonly<Record<string, string>>): string {
  const labels = [...own.matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g)].map(
    ([, name = '', value]) => `${name in target ? `exported_${name}` : name}=${value}`,
  );
  return [...labels, ...Object.entries(target).map(([name, value]) => `${name}=${JSON.stringify(value)}`)].join(',');
}

export function seriesOf(scrapes: readonly ReadonlyMap<string, string>[]): Series {
  const names = new Set(scrapes.flatMap((each) => [...each.keys()]));
  return new Map([...names].map((name) => [name, scrapes.map((each) => each.get(name))]));
}

const intervalSeconds = 30;

/** The queries that find no data at the last scrape, or that are wrong; with what promtool says of them. */
export async function emptyQueries(series: Series, queries: readonly string[]): Promise<string> {
  const scrapes = Math.max(...[...series.values()].map(({ length }) => length));
  const test = {
    interval: `${intervalSeconds}s`,
    input_series: [...series].map(([name, values]) => ({ series: name, values: values.map(sample).join(' ') })),
    promql_expr_test: queries.map((expr) => ({
      expr: `count(${expr}) > bool 0`,
      eval_time: `${(scrapes - 1) * intervalSeconds}s`,
      exp_samples: [{ labels: '{}', value: 1 }],
    })),
  };
  const { code, said } = await testRules({ rule_files: [], evaluation_interval: test.interval, tests: [test] });
  return code === 0 ? '' : said;
}

/** Files by name; the first one is the test. */
export async function testRules(test: object, files: Readonly<Record<string, string>> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'promtool-'));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    // JSON is YAML.
    await writeFile(join(folder, 'test.yaml'), JSON.stringify(test));
    const { code, stdout, stderr } = await promtool.run(['test', 'rules', join(folder, 'test.yaml')]);
    return { code, said: stdout + stderr };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const sample = (value: string | undefined) => (value === undefined || value === 'Nan' ? '_' : value.replace('e+', 'e'));
