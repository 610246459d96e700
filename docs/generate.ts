// `npm run generate` writes the generated parts of the pages in this folder: the states of a VM in design.md, from
// agent/vm/states.ts. `--check` only tests whether they are current. (fields.md is generated with the charts.)
import { readFileSync, writeFileSync } from 'node:fs';
import { statesText } from './state-diagram.ts';

const page = new URL('design.md', import.meta.url);
const [begin, end] = ['<!-- states, generated from agent/vm/states.ts -->', '<!-- end of states -->'];

/** The rest of the page is written by hand. */
export function withStates(text: string, states: string): string {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/design.md lacks ${begin} … ${end}`);
  return `${text.slice(0, from + begin.length)}\n\n${states}\n\n${text.slice(to)}`;
}

/** The problems of the page, one line each. */
export function stalePages(): readonly string[] {
  const text = readFileSync(page, 'utf8');
  const isCurrent = withStates(text, statesText()) === text;
  return isCurrent ? [] : ['docs/design.md does not show the states as agent/vm/states.ts has them'];
}

function main(arguments_: readonly string[]): number {
  if (!arguments_.includes('--check')) {
    writeFileSync(page, withStates(readFileSync(page, 'utf8'), statesText()));
    return 0;
  }
  const found = stalePages();
  if (found.length === 0) return 0;
  process.stderr.write(`${found.join('\n')}\nrun \`npm run generate\` and commit the result\n`);
  return 1;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
