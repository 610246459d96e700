// The report of the bench: a page in Markdown with a table and plots for each part.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine, Measure, PartResult } from './results.ts';
import { numberText, svgOf } from './svg.ts';

/** Writes the page and the plots. */
export function writeReport(folder: string, results: readonly PartResult[]): void {
  writeFileSync(join(folder, 'fleet.md'), pageOf(results));
  for (const plot of results.flatMap(({ plots }) => plots)) writeFileSync(join(folder, fileOf(plot)), svgOf(plot));
}

const introduction = `# A large fleet

\`npm run bench -- fleet\` writes this page. It runs a real kube-apiserver and etcd, the operator in its own process, and scripted agents that speak the agents' protocol over
TLS WebSockets. The agents have no hosts: a VM boots for a fixed time, and its reports are as large as real ones. Everything shares one machine, so the operator has
only a part of it. [specification.md](../specification.md) explains what is over its bound.
`;

export function pageOf(results: readonly PartResult[]): string {
  return [introduction, ...results.map(sectionOf)].join('\n');
}

function sectionOf(result: PartResult): string {
  const { title, setting, measures, plots, processorSeconds } = result;
  return [
    `## ${title}\n`,
    `${setting}\n`,
    `Measured on ${result.day}, on ${machineText(result.machine)}; by \`npm run bench -- fleet --part ${result.part}\`.\n`,
    tableOf(measures),
    ...plots.map((plot) => `![${plot.title}](${fileOf(plot)})\n`),
    `${processorText(processorSeconds)}\n`,
  ].join('\n');
}

function fileOf({ id }: { readonly id: string }): string {
  return `fleet-${id}.svg`;
}

function machineText({ processor, cores, memoryGibibytes, node }: Machine): string {
  return `${processor} with ${cores} cores and ${memoryGibibytes} GiB, Node ${node}`;
}

function tableOf(measures: readonly Measure[]): string {
  const rows = measures.map((each) => `| ${[each.name, amount(each), bound(each), ratio(each)].join(' | ')} |`);
  return `${['| what | measured | bound | compared with |', '|---|---|---|---|', ...rows].join('\n')}\n`;
}

function amount({ value, unit }: Measure): string {
  return `${valueText(value)}${unit === '' ? '' : ` ${unit}`}`;
}

function bound({ value, most, unit }: Measure): string {
  if (most === undefined) return '';
  return `${value <= most ? 'met' : '**over**'}: ≤ ${amount({ name: '', value: most, unit })}`;
}

function ratio({ value, baseline, unit }: Measure): string {
  if (baseline === undefined) return '';
  const times = baseline.value > 0 ? `${valueText(value / baseline.value)} × ` : '';
  return `${times}${baseline.name} (${amount({ name: '', value: baseline.value, unit })})`;
}

/** Three digits, or all digits before the point. */
export function valueText(value: number): string {
  if (!Number.isFinite(value)) return 'not measured';
  const short = Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
  return numberText(short);
}

function processorText(seconds: PartResult['processorSeconds']): string {
  const parts = Object.entries(seconds)
    .filter(([, value]) => value >= 0.1)
    .sort(([, one], [, other]) => other - one)
    .map(([program, value]) => `${program} ${valueText(value)} s`);
  return parts.length === 0 ? '' : `Processor time during this part: ${parts.join(', ')}.`;
}
