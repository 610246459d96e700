// How a Linux kernel reads its command line: `next_arg` and `parse_args` of lib/cmdline.c and kernel/params.c. What
// follows the first word `--` becomes the arguments of init, up to the next such word.

/** COMMAND_LINE_SIZE of x86 and arm64, less the zero at the end. The kernel drops what follows, without a message. */
export const kernelCommandLineBytes = 2_047;

/** CONFIG_INIT_ENV_ARG_LIMIT. With one argument more for init the kernel panics: "Too many boot init vars". */
export const initArgumentsMaximum = 32;

const endOfParameters = '--';
const isQuotedOrOddlySpaced = /["\t\n\v\f\r]/;

/**
 * Whether the kernel certainly reads the words as they are written, with those after the `--` at `end` for init. Each
 * document asks, and nearly all are short and plain. `false`: count and compare the words.
 */
export function isPlainCommandLine(text: string, end: number): boolean {
  if (text.length * mostBytesOfCodeUnit > kernelCommandLineBytes || isQuotedOrOddlySpaced.test(text)) return false;
  if (text.indexOf(endOfParameters) !== end || text.lastIndexOf(endOfParameters) !== end) return false;
  return spacesFrom(text, end) <= initArgumentsMaximum;
}

const mostBytesOfCodeUnit = 3;

function spacesFrom(text: string, start: number): number {
  let count = 0;
  for (let at = text.indexOf(' ', start); at >= 0; at = text.indexOf(' ', at + 1)) count += 1;
  return count;
}

/** Words end at spaces outside of double quotes. Quotes around a whole word are not part of it. */
export function kernelWords(text: string): string[] {
  const words: string[] = [];
  let start: number | undefined;
  let isQuoted = false;
  for (let index = 0; index <= text.length; index += 1) {
    const character = text[index];
    if (character === undefined || (isSpace(character) && !isQuoted)) {
      if (start !== undefined) words.push(unquoted(text.slice(start, index)));
      start = undefined;
      continue;
    }
    start ??= index;
    if (character === '"') isQuoted = !isQuoted;
  }
  return words;
}

/** The arguments of init; none if the kernel finds no `--`. */
export function initWords(commandLine: string): string[] {
  const words = kernelWords(commandLine);
  const begin = words.indexOf(endOfParameters);
  if (begin < 0) return [];
  const end = words.indexOf(endOfParameters, begin + 1);
  return words.slice(begin + 1, end < 0 ? words.length : end);
}

function isSpace(character: string): boolean {
  return character === ' ' || (character >= '\t' && character <= '\r');
}

function unquoted(word: string): string {
  if (!word.startsWith('"')) return word;
  return word.length > 1 && word.endsWith('"') ? word.slice(1, -1) : word.slice(1);
}
