import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const agent = fileURLToPath(new URL('../../../agent/', import.meta.url));
/** A constant or member whose name says that it is a time, with a number as its value. */
const named =
  /\b\w*(?:[mM]illiseconds|[sS]econds|[pP]auses?|[pP]atience|[rR]etry|[dD]elay|[tT]imeout)\s*[=:]\s*(?!0x)[\d[]/;
/** A literal number passed to a clock as a duration. */
const told = /\b(?:after|bounded|delay|inTime|setTimeout|sleep|timeout|within)\((?:[^()]*, )?\d[\d_]*[,)]/;
const exceptions: ReadonlySet<string> = new Set([
  // Not a timeout: how many seconds of a rate may arrive at once.
  'commands/run.ts: const burstSeconds = 10;',
]);

it('all timeouts are in one file, as that file claims', async () => {
  const elsewhere: string[] = [];
  for await (const file of glob('**/*.ts', { cwd: agent })) {
    if (file === 'bounds/timeouts.ts') continue;
    const lines = (await readFile(`${agent}${file}`, 'utf8')).split('\n').map((line) => line.trim());
    const found = lines.filter((line) => !/^(?:\/\/|\/?\*)/.test(line) && (named.test(line) || told.test(line)));
    elsewhere.push(...found.map((line) => `${file}: ${line}`));
  }
  expect(elsewhere.filter((line) => !exceptions.has(line))).toEqual([]);
});
