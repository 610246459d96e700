// `npm run generate` writes the generated parts of the charts: values.schema.json and the table in README.md from
// values.yaml, the templates of the CustomResourceDefinitions from crds/, and the dashboards from the registries of the
// metrics. It also writes docs/fields.md from crds/.
// `--check` only reports whether these files are current.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { crdTemplate } from './crd-template.ts';
import { dashboardFiles } from './dashboards/dashboard.ts';
import { readMetrics } from './dashboards/metrics.ts';
import { fieldsPage } from './fields-page.ts';
import { readValues } from './values-file.ts';
import { valuesSchema } from './values-schema.ts';
import { valuesTable } from './values-table.ts';

export const charts = ['lcow-operator', 'lcow-agent'] as const;

const folder = new URL('./', import.meta.url);
const crdFolder = new URL('../crds/', import.meta.url);
const crdTemplates = 'lcow-operator/templates/crds/';
const dashboards = 'lcow-operator/dashboards/';
const metricHelps = await readMetrics();
const [tableBegin, tableEnd] = ['<!-- values, generated from values.yaml -->', '<!-- end of values -->'];

/** The generated files: path below charts/ to text. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = dashboardFiles(metricHelps).map(([name, text]): [string, string] => [`${dashboards}${name}`, text]);
  return new Map([...charts.flatMap(documentation), ...crdFiles(), ...files]);
}

function documentation(chart: string): [string, string][] {
  const values = readValues(read(`${chart}/values.yaml`));
  const schema = JSON.stringify(valuesSchema(`Values of ${chart}`, values), undefined, 2);
  return [
    [`${chart}/values.schema.json`, `${schema}\n`],
    [`${chart}/README.md`, withTable(read(`${chart}/README.md`), valuesTable(values))],
  ];
}

/** Only the table of a README is generated. The rest is written by hand. */
export function withTable(readme: string, table: string): string {
  const [begin, end] = [readme.indexOf(tableBegin), readme.indexOf(tableEnd)];
  if (begin < 0 || end < begin) throw new Error(`README.md lacks ${tableBegin} … ${tableEnd}`);
  return `${readme.slice(0, begin + tableBegin.length)}\n\n${table}\n\n${readme.slice(end)}`;
}

function crdFiles(): [string, string][] {
  const names = readdirSync(crdFolder).filter((name) => name.endsWith('.yaml'));
  const texts = new Map(names.map((name) => [name, readFileSync(new URL(name, crdFolder), 'utf8')]));
  const templates = [...texts].map(([name, text]): [string, string] => [`${crdTemplates}${name}`, crdTemplate(text)]);
  return [...templates, ['../docs/fields.md', fieldsPage([...texts.values()].toReversed())]];
}

/** Files that are missing or not current, one line each. */
export function staleFiles(): readonly string[] {
  const expected = generatedFiles();
  const changed = [...expected].filter(([path, text]) => readIfThere(path) !== text).map(([path]) => path);
  const surplus = [crdTemplates, dashboards]
    .flatMap((path) => readdirSync(new URL(path, folder)).map((name) => `${path}${name}`))
    .filter((path) => !expected.has(path));
  return [
    ...changed.map((path) => `charts/${path} is not what it is generated from`),
    ...surplus.map((path) => `charts/${path} is generated from nothing`),
  ];
}

function read(path: string): string {
  return readFileSync(new URL(path, folder), 'utf8');
}

function readIfThere(path: string): string | undefined {
  try {
    return read(path);
  } catch {
    return undefined;
  }
}

function main(arguments_: readonly string[]): number {
  if (arguments_.includes('--check')) {
    const found = staleFiles();
    if (found.length === 0) return 0;
    process.stderr.write(`${found.join('\n')}\nrun \`npm run generate\` and commit the result\n`);
    return 1;
  }
  mkdirSync(new URL(dashboards, folder), { recursive: true });
  for (const [path, text] of generatedFiles()) writeFileSync(new URL(path, folder), text);
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
