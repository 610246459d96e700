// How long ago something was, as kubectl writes it: `45s`, `3m12s`, `5h`, `2d4h`.

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

interface Form {
  /** Up to this age. */
  readonly below: number;
  readonly unit: readonly [milliseconds: number, letter: string];
  readonly rest?: readonly [milliseconds: number, letter: string];
}

const forms: readonly Form[] = [
  { below: 2 * minute, unit: [second, 's'] },
  { below: 10 * minute, unit: [minute, 'm'], rest: [second, 's'] },
  { below: 3 * hour, unit: [minute, 'm'] },
  { below: 8 * hour, unit: [hour, 'h'], rest: [minute, 'm'] },
  { below: 2 * day, unit: [hour, 'h'] },
  { below: 8 * day, unit: [day, 'd'], rest: [hour, 'h'] },
  { below: Number.POSITIVE_INFINITY, unit: [day, 'd'] },
];

/** `<unknown>` for a time that is missing or cannot be read. */
export function ageOf(time: string | undefined, now: number): string {
  const age = Math.max(0, now - Date.parse(time ?? ''));
  const form = forms.find(({ below }) => age < below);
  if (form === undefined) return '<unknown>';
  const { rest, unit } = form;
  const whole = `${Math.floor(age / unit[0])}${unit[1]}`;
  const left = rest === undefined ? 0 : Math.floor((age % unit[0]) / rest[0]);
  return rest === undefined || left === 0 ? whole : `${whole}${left}${rest[1]}`;
}
