// Spellings of flags that kubectl accepts and commander does not.

/** `-n=default` becomes `-n default`, and `--watch=false` `--no-watch`. Words behind `--` are those of another program. */
export function flagWords(words: readonly string[]): readonly string[] {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  return [
    ...words.slice(0, end).flatMap((word) => switches.get(word) ?? shortFlag(word) ?? [word]),
    ...words.slice(end),
  ];
}

/** Flags without a value, to which kubectl lets users write one. */
const switches: ReadonlyMap<string, readonly string[]> = new Map([
  ['--watch=true', ['--watch']],
  ['--watch=false', ['--no-watch']],
  ['-w=true', ['--watch']],
  ['-w=false', ['--no-watch']],
]);

function shortFlag(word: string): readonly string[] | undefined {
  const found = /^(-[a-zA-Z])=(.*)$/s.exec(word);
  return found === null ? undefined : [found[1] ?? '', found[2] ?? ''];
}
