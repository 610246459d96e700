// `kubectl luvm convert`: the manifest of a LinuxUtilityVM for the annotations of a pod on hcsshim. It asks no cluster.
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { convert } from '../annotations/convert.ts';
import { exitCodes } from './commands.ts';
import { showLines, type Terminal, tell } from './terminal.ts';

export interface ConvertFlags {
  /** `-` is standard input. */
  readonly annotations: string;
  readonly name?: string;
  readonly namespace?: string;
}

export async function convertFile(flags: ConvertFlags, terminal: Terminal): Promise<number> {
  const { annotations: file, name, namespace } = flags;
  const given = await (file === '-' ? text(terminal.input) : readFile(file, 'utf8'));
  let manifest = '';
  const ports = {
    out: (made: string) => {
      manifest = made;
    },
    problem: (line: string) => tell(terminal, line),
  };
  if (convert(given, { file, name, namespace }, ports) === undefined) return exitCodes.failed;
  await showLines(terminal, Buffer.from(manifest));
  return exitCodes.ok;
}
