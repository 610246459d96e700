// How a Linux kernel reads its command line: `next_arg` and `parse_args` of lib/cmdline.c and kernel/params.c. What
// follows the first word `--` becomes the arguments of init, up to the next such word.

/** COMMAND_LINE_SIZE of x86 and arm64, less the zero at the end. The kernel drops what follows, without a message. */
export const kernelCommandLineBytes = 2_047;

/** CONFIG_INIT_ENV_ARG_LIMIT. With one argument more for init the kernel panics: "Too many boot init vars". */
export const initArgumentsMaximum = 32;

const endOfParameters = '--';
const isQuotedOrOddlySpaced = /["\t\n\v\f\r]/;

/** Words end at spaces outside of double quotes. Quotes around a whole word are not part of it. */
export function kernelWords(text: string): string[] {
  // Each document has such lines, and nearly all are plain.
  if (!isQuotedOrOddlySpaced.test(text)) return text.split(' ').filter((word) => word !== '');
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
