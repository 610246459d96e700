// Runs the commands in docs/documents.md and compares their output with the page.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { documentCommand } from '../../../agent/commands/document.ts';

const page = readFileSync(new URL('../../../docs/documents.md', import.meta.url), 'utf8');

/** The files of the page: YAML blocks whose first line is their name. */
const files = new Map(
  [...page.matchAll(/^```yaml\n# (\S+)\n([^`]*)^```$/gm)].map(([, name = '', text = '']) => [name, text] as const),
);

/** Command lines, each with the output block that follows it. */
const sessions = [...page.matchAll(/^```console\n\$ lcow-agent document (.*)\n```\n\n```json\n([^`]*)\n```$/gm)].map(
  ([, line = '', output = '']) => ({ line, output }),
);

describe('docs/documents.md', () => {
  it('contains a document and an error', () => {
    expect([...files.keys()]).toEqual(['host.yaml', 'vm.yaml', 'refused.yaml']);
    expect(sessions.map(({ output }) => output.includes('"error"'))).toEqual([false, true]);
  });

  it.each(sessions)('lcow-agent document $line', async ({ line, output }) => {
    const words = line.split(' ');
    const out: string[] = [];
    const problems: string[] = [];
    await documentCommand(
      { host: wordAfter('--host', words), filename: [wordAfter('-f', words)], pretty: words.includes('--pretty') },
      {
        read: async (path) => files.get(path) ?? '',
        out: (text) => out.push(text),
        problem: (text) => problems.push(text),
      },
    );
    expect(problems).toEqual([]);
    expect(out.join('\n')).toBe(output);
  });
});

function wordAfter(flag: string, words: readonly string[]): string {
  return words[words.indexOf(flag) + 1] ?? '';
}
