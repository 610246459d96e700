// `-o json|yaml|name`: what a command has read or changed, for programs.
import { z } from 'zod';
import { plainJson } from '../runtime/plain-text.ts';
import { machineType } from './object-types.ts';
import type { OutputFormat } from './output-formats.ts';
import { showLines, type Terminal } from './terminal.ts';

const named = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });

/** One object as itself, several as a list, as kubectl does. */
export async function showObjects(
  terminal: Terminal,
  format: OutputFormat,
  objects: readonly unknown[],
  type = machineType.shown,
): Promise<void> {
  const text =
    format === 'name'
      ? objects.map((each) => `${type}/${named.parse(each).metadata.name}\n`).join('')
      : await written(format, objects.length === 1 ? objects[0] : { kind: 'List', apiVersion: 'v1', items: objects });
  await showLines(terminal, Buffer.from(text));
}

/** JSON or YAML in which no text of a peer can steer a terminal, and which a program reads back unchanged. */
export async function written(format: 'json' | 'yaml', value: unknown): Promise<string> {
  const json = plainJson(JSON.stringify(value, undefined, 2));
  if (format === 'json') return `${json}\n`;
  const { stringify } = await import('yaml');
  return stringify(value, { lineWidth: 0 });
}
