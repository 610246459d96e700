// `kubectl luvm logs`: each line once and in order, even while an operator, agent or API server restarts. Lines come
// with their positions, so the next connection continues after the last line that was written. The number of lines that
// are no longer available is reported on stderr.
import type { LogPosition } from '../protocol/streams/messages.ts';
import { formatPosition, parsePosition, subresourcePath } from '../protocol/subresources.ts';
import { counted } from '../runtime/counted.ts';
import { messageOf } from '../runtime/error-text.ts';
import { ApiFailure } from './api.ts';
import { type CommandPorts, exitCodes, firstPatience, reconnectPatience } from './commands.ts';
import { type LineFormat, LineFormatter } from './log-lines.ts';
import { type Selection, selectedNames } from './machines.ts';
import { Patience } from './patience.ts';
import { showLines, tell } from './terminal.ts';

export interface LogsOptions extends LineFormat {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly tail?: number | undefined;
}

export interface SelectedLogsOptions extends Omit<LogsOptions, 'prefix'> {
  readonly prefix?: boolean | undefined;
  /** How many logs are followed at once. */
  readonly maxLogRequests: number;
}

/** With a selector kubectl prints only the last lines of each log. */
const selectedTail = 10;

/** The logs of the selected VMs: one after another, or all at once while they are followed. */
export async function selectedLogs(
  selection: Selection,
  { maxLogRequests, prefix, ...options }: SelectedLogsOptions,
  ports: CommandPorts,
): Promise<number> {
  const names = await selectedNames(ports.api, selection);
  if (options.follow && names.length > maxLogRequests) {
    throw new Error(`${names.length} VMs are selected, and --max-log-requests allows ${maxLogRequests} to be followed`);
  }
  const tail = options.tail ?? (selection.selector === undefined ? undefined : selectedTail);
  const logOf = (name: string) => {
    const ofThis = { ...options, tail, ...(prefix && { prefix: `[${name}] ` }) };
    return names.length === 1 ? logs(name, ofThis, ports) : logsOrMessage(name, ofThis, ports);
  };
  const codes: number[] = [];
  if (options.follow) codes.push(...(await Promise.all(names.map(logOf))));
  else for (const name of names) codes.push(await logOf(name));
  return codes.find((code) => code !== exitCodes.ok) ?? exitCodes.ok;
}

/** One VM without a log keeps none of the others from being shown. */
async function logsOrMessage(name: string, options: LogsOptions, ports: CommandPorts): Promise<number> {
  try {
    return await logs(name, options, ports);
  } catch (error) {
    tell(ports.terminal, `error: ${name}: ${messageOf(error)}`);
    return exitCodes.failed;
  }
}

export async function logs(name: string, options: LogsOptions, ports: CommandPorts): Promise<number> {
  const { terminal } = ports;
  const reader = new LineReader(new LineFormatter(options));
  let patience = patienceFor(firstPatience, ports);
  while (!terminal.output.destroyed) {
    try {
      await readOnce(name, options, reader, ports, () => {
        patience.succeeded();
        patience = patienceFor(reconnectPatience, ports);
      });
      if (!options.follow || options.previous) return exitCodes.ok;
      await patience.wait(new ApiFailure(0, 'the log ended'));
    } catch (error) {
      await patience.wait(error);
    }
  }
  return exitCodes.ok;
}

function patienceFor(limitMilliseconds: number, { clock, random, terminal }: CommandPorts): Patience {
  return new Patience({
    clock,
    random,
    limitMilliseconds,
    onTrouble: (message) => tell(terminal, `[${message}; trying again]`),
  });
}

/** Reads until the log ends. */
async function readOnce(
  name: string,
  options: LogsOptions,
  reader: LineReader,
  { api, terminal }: CommandPorts,
  onBegun: () => void,
): Promise<void> {
  const query = queryOf(options, reader.last);
  const response = await api.open({ path: subresourcePath(api.namespace, name, 'log'), query });
  onBegun();
  reader.begin();
  try {
    for await (const chunk of response) {
      const { missing, text } = reader.take(Buffer.from(chunk));
      if (missing > 0)
        tell(terminal, `[${counted(missing, 'line')} missing: the guest wrote faster than lines could be kept]`);
      if (text.length > 0) await showLines(terminal, text);
      // The reader of our output has gone.
      if (terminal.output.destroyed) return;
    }
  } catch (error) {
    throw new ApiFailure(0, error instanceof Error ? `the log broke off: ${error.message}` : 'the log broke off');
  }
}

function queryOf({ follow, previous, tail }: LogsOptions, last: LogPosition | undefined): URLSearchParams {
  const query = new URLSearchParams({ positions: 'true' });
  if (follow) query.set('follow', 'true');
  if (previous) query.set('previous', 'true');
  if (last !== undefined) query.set('after', formatPosition(last));
  else if (tail !== undefined) query.set('tailLines', String(tail));
  return query;
}

/** Longer than any line that an agent keeps. */
const longestLine = 4 << 20;

/** Removes the positions from the lines and remembers the last position. */
class LineReader {
  readonly #formatter: LineFormatter;
  /** An incomplete line, decoded as Latin-1: positions are ASCII, and the bytes of the text stay unchanged. */
  #rest = '';
  #last: LogPosition | undefined;

  constructor(formatter: LineFormatter) {
    this.#formatter = formatter;
  }

  get last(): LogPosition | undefined {
    return this.#last;
  }

  /** Starts on a new connection, which sends the incomplete line again. */
  begin(): void {
    this.#rest = '';
  }

  take(bytes: Buffer): { readonly text: Buffer; readonly missing: number } {
    const lines = (this.#rest + bytes.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    // The rest of this line has no position, so the line counts as missing.
    if (this.#rest.length > longestLine) this.#rest = '';
    let text = '';
    let missing = 0;
    for (const line of lines) {
      const space = line.indexOf(' ');
      const position = parsePosition(line.slice(0, space));
      // A notice in the log file. The positions already show what the notice reports.
      if (position === undefined || !this.#isNew(position)) continue;
      missing += this.#missingBefore(position);
      this.#last = position;
      const shown = this.#formatter.take(line.slice(space + 1));
      if (shown !== undefined) text += `${shown}\n`;
    }
    return { text: Buffer.from(text, 'latin1'), missing };
  }

  #isNew({ boot, sequence }: LogPosition): boolean {
    const last = this.#last;
    return last === undefined || boot > last.boot || (boot === last.boot && sequence > last.sequence);
  }

  #missingBefore({ boot, sequence }: LogPosition): number {
    const last = this.#last;
    if (last === undefined) return 0;
    return boot === last.boot ? sequence - last.sequence - 1 : sequence;
  }
}
