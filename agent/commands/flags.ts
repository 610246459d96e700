// The values of the agent's flags. Values that make no sense are refused with the reason.
import { InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';
import { bracketed, urlProblem } from '../link/dial.ts';
import { parsePathRule } from '../preparation/paths/path-rules.ts';
import { parsePipePattern } from '../preparation/paths/pipe-patterns.ts';

const isWindows = process.platform === 'win32';
export const defaultStateDir = isWindows ? `${process.env['ProgramData'] ?? 'C:\\ProgramData'}\\lcow` : '/var/lib/lcow';

export function operatorUrl(text: string): string {
  const url = bracketed(text);
  const problem = urlProblem(url);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return url;
}

export function positiveSeconds(given: string): number {
  const seconds = Number(given);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('seconds, above 0 and at most a day');
  return seconds;
}

export function portNumber(given: string): number {
  const port = Number(given);
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new InvalidArgumentError('must be a port from 0 to 65535');
  return port;
}

function collectGuids(given: string, before: readonly string[]): readonly string[] {
  if (!z.guid().safeParse(given).success) throw new InvalidArgumentError('a GUID without braces');
  return [...before, given];
}

/** For a flag that can be given several times. The value is only checked here; its user parses it again. */
function patterns(read: (pattern: string) => unknown) {
  return (given: string, before: readonly string[]): readonly string[] => {
    try {
      read(given);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
    return [...before, given];
  };
}

/**
 * What manifests may name on the host. The doctor accepts these options, too, to judge them before an agent is started
 * with them.
 */
export const allowedOptions = [
  new Option(
    '--allowed-path <folder...>',
    'folders in which specs may name disks and shares, read-only with :ro; {namespace} stands for the namespace of the VM',
  ).argParser(patterns(parsePathRule)),
  new Option(
    '--allowed-pipe <name...>',
    'named pipes that specs may use for consoles; {namespace} stands for the namespace of the VM, a final * for any ending',
  ).argParser(patterns(parsePipePattern)),
  new Option(
    '--allowed-device <id...>',
    'devices that specs may assign, by instance id; a final * stands for any ending',
  ),
  new Option('--allowed-cpu-group <guid...>', 'CPU groups that specs may join').argParser(collectGuids),
  new Option('--allowed-resource-partition <guid...>', 'resource partitions that specs may join').argParser(
    collectGuids,
  ),
].map((option) => option.default([]));

export function linesPerSecond(given: string): number {
  const lines = Number(given);
  if (!(Number.isInteger(lines) && lines >= 0 && lines <= 1_000_000_000)) {
    throw new InvalidArgumentError('a whole number of lines a second');
  }
  return lines;
}
