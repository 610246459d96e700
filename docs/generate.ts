// `npm run generate` writes the generated parts of the pages in this folder: the states of a VM in design.md and those of
// a network adapter in networks.md, each from its table. `--check` only tests whether they are current. (fields.md is
// generated with the charts.)
import { readFileSync, writeFileSync } from 'node:fs';
import { adapterStatesText, statesText } from './state-diagram.ts';

const ofMachines = 'agent/vm/states.ts';
const pages = [
  { name: 'design.md', source: ofMachines, states: statesText },
  { name: 'networks.md', source: 'agent/network/adapter/states.ts', states: adapterStatesText },
] as const;
const end = '<!-- end of states -->';

/** The rest of the page is written by hand. */
export function withStates(text: string, states: string, source: string = ofMachines): string {
  const begin = `<!-- states, generated from ${source} -->`;
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page lacks ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${states}\n\n${text.slice(to)}`;
}

const currentPages = () =>
  pages.map(({ name, source, states }) => {
    const file = new URL(name, import.meta.url);
    const text = readFileSync(file, 'utf8');
    return { name, source, file, text, current: withStates(text, states(), source) };
  });

/** The problems of the pages, one line each. */
export function stalePages(): readonly string[] {
  return currentPages()
    .filter(({ current, text }) => current !== text)
    .map(({ name, source }) => `docs/${name} does not show the states as ${source} has them`);
}

function main(arguments_: readonly string[]): number {
  if (!arguments_.includes('--check')) {
    for (const { current, file } of currentPages()) writeFileSync(file, current);
    return 0;
  }
  const found = stalePages();
  if (found.length === 0) return 0;
  process.stderr.write(`${found.join('\n')}\nrun \`npm run generate\` and commit the result\n`);
  return 1;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
