// node test/golden/lives.ts FILE… [--points] [--only TEXT]
// Plays recorded lives of the original (upstream-lives.md) against this agent: its state machine, its bridge and its binding of
// HCS down to the functions of computecore.dll and ws2_32.dll, which are stood in for. What it does is compared with what the
// original did; a difference counts as documented when a rule explains it whose point docs/reference/hcs-runtime.md gives a
// reason for.
import { parseArgs } from 'node:util';
import { compare } from './lives/comparison.ts';
import { documentedPoints } from './lives/documented.ts';
import { type Judgement, judge, unplayed } from './lives/judgement.ts';
import { type Life, LifeFormatError, readLives } from './lives/life.ts';
import { play } from './lives/player.ts';
import { shown } from './lives/shown.ts';

const usage = `usage: node test/golden/lives.ts FILE… [--points] [--only TEXT]

Plays the recorded lives of each FILE (a JSON array, or one life a line) against this agent and compares what the host does.

  --points     print for each life which documented differences it has
  --only TEXT  play only the lives whose name has TEXT in it
  --help       print this

Exit code: 0 when nothing is unexplained, 1 when something is, 2 for a file that cannot be read.
`;

export interface Verdict extends Judgement {
  readonly name: string;
}

/** One after the other: they share the binding. */
export async function judgeLives(lives: readonly Life[]): Promise<readonly Verdict[]> {
  const documented = documentedPoints();
  const verdicts: Verdict[] = [];
  for (const life of lives) {
    const judged = await play(life).then((played) => judge(compare(life, played), documented), unplayed);
    verdicts.push({ name: life.name, ...judged });
  }
  return verdicts;
}

/** The last line of the program. */
export function summary(verdicts: readonly Verdict[]): string {
  const count = (wanted: Judgement['verdict']) => verdicts.filter(({ verdict }) => verdict === wanted).length;
  return `${count('equal')} equal, ${count('documented')} different as documented, ${count('unexplained')} unexplained`;
}

export function details({ failure, name, undocumented, unexplained }: Verdict): readonly string[] {
  const documentation = undocumented.map((point) => `explained by \`${point}\`, which has no row in hcs-runtime.md`);
  const unable = failure === undefined ? [] : [`cannot be played: ${failure}`];
  const lines = [...unable, ...unexplained.flatMap(shown), ...documentation];
  return lines.length === 0 ? [] : [name, ...lines.map((line) => `  ${line}`)];
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean' }, points: { type: 'boolean' }, only: { type: 'string' } },
  });
  if (values.help === true || positionals.length === 0) {
    (values.help === true ? process.stdout : process.stderr).write(usage);
    return values.help === true ? 0 : 2;
  }
  const { only = '' } = values;
  const lives = positionals.flatMap(readLives).filter(({ name }) => name.includes(only));
  const verdicts = await judgeLives(lives);
  for (const verdict of verdicts) {
    const points =
      values.points === true ? [`${verdict.name}: ${verdict.verdict}, ${[...verdict.points].join(' ')}`] : [];
    for (const line of [...points, ...details(verdict)]) process.stdout.write(`${line}\n`);
  }
  process.stdout.write(`${summary(verdicts)}\n`);
  return verdicts.some(({ verdict }) => verdict === 'unexplained') ? 1 : 0;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof LifeFormatError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
