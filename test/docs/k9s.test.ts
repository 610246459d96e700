// The files for k9s name commands that the plugin has, and columns and fields that the kinds have.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { linuxUtilityVMKind } from '../../crds/linux-utility-vm.ts';
import { linuxUtilityVMHostKind } from '../../crds/linux-utility-vm-host.ts';
import { linuxUtilityVMSetKind } from '../../crds/linux-utility-vm-set.ts';
import { apiVersion, hostPlural, setPlural, virtualMachinePlural } from '../../crds/names.ts';
import { inertProgram } from '../support/kubectl/inert-program.ts';

const read = (name: string): unknown =>
  parse(readFileSync(new URL(`../../contrib/k9s/${name}`, import.meta.url), 'utf8'));

/** As in k9s' own schemas, `views.json` and `plugin.json` of v0.50. */
const views = z.strictObject({
  views: z.record(z.string(), z.strictObject({ sortColumn: z.string(), columns: z.array(z.string()) })),
});
const plugins = z.strictObject({
  plugins: z.record(
    z.string(),
    z.strictObject({
      shortCut: z.string(),
      override: z.boolean().optional(),
      description: z.string(),
      confirm: z.boolean().optional(),
      dangerous: z.boolean().optional(),
      scopes: z.array(z.string()),
      command: z.enum(['kubectl', 'sh']),
      background: z.boolean().optional(),
      args: z.array(z.string()),
    }),
  ),
});

const kinds = [linuxUtilityVMKind, linuxUtilityVMHostKind, linuxUtilityVMSetKind];
const program = inertProgram();

/** The command that these words call, with the words that are left for it. */
function called(words: readonly string[], from: Command = program): { command: Command; rest: readonly string[] } {
  const [word = '', ...rest] = words;
  const next = from.commands.find((each) => each.name() === word);
  return next === undefined ? { command: from, rest: words } : called(rest, next);
}

describe('the columns for k9s', () => {
  const shown = views.parse(read('views.yaml')).views;

  it('are those of each kind', () => {
    expect(Object.keys(shown)).toEqual(
      [virtualMachinePlural, hostPlural, setPlural].map((plural) => `${apiVersion}/${plural}`),
    );
  });

  it.each(Object.entries(shown))('exist, or are of fields that exist: %s', (name, { columns, sortColumn }) => {
    const kind = kinds.find(({ plural }) => name.endsWith(`/${plural}`));
    const printed = new Set(['NAMESPACE', 'NAME', ...(kind?.columns ?? []).map((each) => each.name.toUpperCase())]);
    const names = columns.map((column) => column.split(':')[0] ?? '');
    expect(names.filter((each, index) => !columns[index]?.includes(':') && !printed.has(each))).toEqual([]);
    expect(sortColumn).toMatch(new RegExp(`^(${names.join('|')}):(asc|desc)$`));
    const schema = JSON.stringify(z.toJSONSchema(kind?.schema ?? z.never(), { io: 'input', unrepresentable: 'any' }));
    const fields = columns.flatMap((column) => [...column.matchAll(/\.([a-zA-Z]+)/g)].map(([, field]) => field));
    expect(fields.filter((field) => !schema.includes(`"${field}":`))).toEqual([]);
  });
});

describe('the keys for k9s', () => {
  const { plugins: keys } = plugins.parse(read('plugins.yaml'));

  it.each(Object.entries(keys))(
    'run a command that the plugin has: %s',
    (_, { args, command, confirm, dangerous, scopes }) => {
      const line = command === 'sh' ? (args[1] ?? '').replace('"$@" | less -K', '') : `kubectl ${args.join(' ')}`;
      const [kubectl, luvm, ...words] = line.trim().split(' ');
      expect([kubectl, luvm]).toEqual(['kubectl', 'luvm']);
      const { command: found, rest } = called(words);
      expect(found.commands).toEqual([]);
      const known = found.options.flatMap(({ long, short }) => [long, short]);
      const flags = rest
        .slice(0, rest.includes('--') ? rest.indexOf('--') : undefined)
        .filter((word) => word.startsWith('-'));
      expect(flags.filter((flag) => !known.includes(flag.split('=')[0]))).toEqual([]);
      // Of the chosen object, wherever k9s is.
      expect(args.join(' ')).toContain('--context $CONTEXT --namespace $NAMESPACE $NAME');
      expect([virtualMachinePlural, setPlural]).toContain(scopes[0]);
      // What ends or replaces VMs is asked about, and is left out of a read-only k9s.
      const ends = /\b(restart|undo)\b/.test(line);
      expect([confirm === true, dangerous === true]).toEqual([ends, ends]);
    },
  );

  it('are each used once in a view', () => {
    const used = Object.values(keys).map(({ scopes, shortCut }) => `${scopes[0]} ${shortCut}`);
    expect(new Set(used).size).toBe(used.length);
  });
});
