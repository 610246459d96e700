// Durations as kubectl writes them: `90s`, `1h30m`, `0`.

const part = /(\d{1,12}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h)/y;
const milliseconds: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

/** Undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  let total = 0;
  part.lastIndex = 0;
  let read = 0;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    total += Number(found[1]) * (milliseconds[found[2] ?? ''] ?? 0);
    read = part.lastIndex;
  }
  return text !== '' && read === text.length ? total : undefined;
}
