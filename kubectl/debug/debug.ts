// `kubectl luvm debug`: one archive for a bug report, without secrets. What cannot be read is named in the archive.
import { messageOf } from '../../runtime/error-text.ts';
import { type ArchivedFile, tarGzip } from '../archive.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { tell, writeTo } from '../terminal.ts';
import { redactedText } from './redact.ts';
import { type Source, sourcesOf } from './sources.ts';

export interface DebugOptions {
  /** Absent: a name with VM and time, in the current folder. */
  readonly file?: string | undefined;
  readonly version: string;
  /** Writes a file that nobody else can read. Rejects if the file exists; leaves no part of it when it fails. */
  readonly writeNew: (path: string, bytes: Buffer) => Promise<void>;
}

export async function debug(name: string, options: DebugOptions, ports: CommandPorts): Promise<number> {
  const { api, clock, terminal } = ports;
  const sources = await sourcesOf(name, api);
  const time = new Date(clock.now()).toISOString();
  const folder = `luvm-debug-${api.namespace}-${name}`;
  const read = await Promise.all(sources.map(readSource));
  const problems = read.flatMap(({ problem }) => problem ?? []);
  const about = [`kubectl-luvm ${options.version}`, `VM ${api.namespace}/${name}`, `collected ${time}`, ...problems];
  const files: readonly ArchivedFile[] = [
    { path: `${folder}/about.txt`, content: `${about.join('\n')}\n` },
    ...read.flatMap(({ content, file }) => (content === undefined ? [] : [{ path: `${folder}/${file}`, content }])),
  ];
  const path = options.file ?? `${folder}-${time.replaceAll(/[-:]|\.\d+/g, '')}.tar.gz`;
  await options.writeNew(path, await tarGzip(files));
  for (const problem of problems) tell(terminal, problem);
  await writeTo(terminal.output, `${path}\n`);
  return exitCodes.ok;
}

interface ReadSource {
  readonly file: string;
  readonly content?: string;
  readonly problem?: string;
}

async function readSource({ file, read }: Source): Promise<ReadSource> {
  try {
    return { file, content: await read() };
  } catch (error) {
    return { file, problem: `without ${file}: ${redactedText(messageOf(error))}` };
  }
}
