// Figures of benches as lines of a CSV file, so that they can be kept and compared.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

export interface Figure {
  readonly bench: string;
  readonly name: string;
  readonly unit: string;
  readonly better: 'less' | 'more';
  readonly value: number;
}

const header = 'time,bench,figure,unit,better,value';

/** Adds a line to the file. */
export function writeFigure(path: string, { bench, better, name, unit, value }: Figure, now: Date): void {
  if (!existsSync(path)) appendFileSync(path, `${header}\n`);
  appendFileSync(path, `${[now.toISOString(), bench, quoted(name), unit, better, value].join(',')}\n`);
}

/** Throws if a line is not as `writeFigure` writes it. */
export function readFigures(path: string): readonly Figure[] {
  const [first, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n');
  if (first !== header) throw new Error(`${path} does not begin with ${header}`);
  return lines.map((line) => {
    const parts = /^[^,]*,([^,]*),"((?:[^"]|"")*)",([^,]*),(less|more),([^,]*)$/.exec(line);
    const [, bench = '', name = '', unit = '', better, value] = parts ?? [];
    if (parts === null || !Number.isFinite(Number(value))) throw new Error(`${path} has an unreadable line: ${line}`);
    return {
      bench,
      name: name.replaceAll('""', '"'),
      unit,
      better: better === 'less' ? 'less' : 'more',
      value: Number(value),
    };
  });
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
