// Runs the commands of docs/annotations.md, and compares its table with the keys and fields that exist.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { convertCommand } from '../../agent/commands/convert.ts';
import { Key, vmPrefix } from '../../annotations/keys.ts';
import { fieldsOf, openApiSchema } from '../../crds/custom-resource-definition.ts';
import { linuxUtilityVM } from '../../crds/linux-utility-vm.ts';

const page = readFileSync(new URL('../../docs/annotations.md', import.meta.url), 'utf8');
const files = new Map(
  [...page.matchAll(/^```yaml\n# (\S+)\n([^`]*)^```$/gm)].map(([, name = '', text = '']) => [name, text] as const),
);
const sessions = page
  .split(/^```console\n\$ lcow-agent convert --annotations /m)
  .slice(1)
  .map((text) => ({ file: text.split('\n', 1)[0] ?? '', after: text.split(/^## /m, 1)[0] ?? '' }));
const block = (kind: string, text: string) =>
  new RegExp(`^\`\`\`${kind}\n([^\`]*)\n\`\`\`$`, 'm').exec(text)?.[1] ?? '';

describe('docs/annotations.md', () => {
  it('has a manifest and a refusal', () => {
    expect(sessions.map(({ file }) => file)).toEqual(['pod.yaml', 'refused.yaml']);
  });

  it.each(sessions)('lcow-agent convert --annotations $file', async ({ after, file }) => {
    const out: string[] = [];
    const problems: string[] = [];
    const io = {
      read: async (path: string) => files.get(path) ?? '',
      out: (text: string) => out.push(text),
      problem: (line: string) => problems.push(line),
    };
    const code = await convertCommand({ annotations: file }, io);
    expect(code).toBe(out.length > 0 ? 0 : 1);
    expect(problems.join('\n')).toBe(block('text', after));
    if (code === 0) expect(out.join('\n')).toBe(block('yaml', after));
  });

  const rows = [...page.matchAll(/^\| (`[^|]*) \| ([^|]*) \|$/gm)].map(([, keys = '', fields = '']) => ({
    keys,
    fields,
  }));
  const named = (text: string) => [...text.matchAll(/`([^`]*)`/g)].map(([, name = '']) => name);

  it('names every key, and no other', () => {
    const keys = rows.filter(({ keys }) => !keys.includes('convert')).flatMap((row) => named(row.keys));
    const known = Object.values(Key).map((key) => (key.endsWith('.') ? `${key}<GUID>` : key));
    expect(keys.map((key) => (key.startsWith('io.') ? key : vmPrefix + key)).sort()).toEqual(known.sort());
  });

  it('names fields that exist', () => {
    const paths = new Set([...fieldsOf(openApiSchema(linuxUtilityVM))].map(({ path }) => path.replace('spec.', '')));
    const fields = rows.filter(({ keys }) => !keys.includes('convert')).flatMap((row) => named(row.fields));
    expect(fields.filter((field) => field !== 'None' && !paths.has(field))).toEqual([]);
  });
});
