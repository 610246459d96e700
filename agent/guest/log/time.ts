// The guest's time stamps (hcs-runtime D.3, D.4): RFC 3339 with up to nine digits of fraction. A `Date` holds fewer, so
// time stamps stay text. Parsing is as lenient as the guest's own library: a comma before the fraction, any number of
// digits (cut to nine), an hour of one digit, offsets up to 24:60.

/** The time of a record without one. */
export const zeroTime = '0001-01-01T00:00:00Z';

const shape = /^(\d{4})-(\d{2})-(\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** The usual spelling of a guest, which needs no change. Its minute must be checked. */
const usualShape = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d(?:\.\d{0,8}[1-9])?Z$/;
const minuteLength = '2024-01-15T10:30'.length;
/** The last minute that was checked: thousands of lines in a log share one minute. */
let validMinute = ' ';

const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * The time in a canonical spelling: no trailing zeros, `Z` for an offset of zero. Undefined when the text is not a
 * time.
 */
export function normaliseTime(text: string): string | undefined {
  if (text.startsWith(validMinute) && usualShape.test(text)) return text;
  const time = readTime(text);
  if (time !== undefined && usualShape.test(time)) validMinute = time.slice(0, minuteLength);
  return time;
}

function readTime(text: string): string | undefined {
  const match = shape.exec(text);
  if (match === null) return undefined;
  const [, year = '', month = '', day = '', hour = '', minute = '', second = '', fraction = ''] = match;
  const inRange =
    isDay(Number(year), Number(month), Number(day)) &&
    Number(hour) <= 23 &&
    Number(minute) <= 59 &&
    Number(second) <= 59;
  const offset = offsetText(match[8], match[9], match[10]);
  if (!inRange || offset === undefined) return undefined;
  const digits = withoutTrailingZeros(fraction.slice(0, 9));
  const clock = `${hour.padStart(2, '0')}:${minute}:${second}${digits === '' ? '' : `.${digits}`}`;
  return `${year}-${month}-${day}T${clock}${offset}`;
}

function withoutTrailingZeros(digits: string): string {
  let end = digits.length;
  while (digits[end - 1] === '0') end -= 1;
  return digits.slice(0, end);
}

function isDay(year: number, month: number, day: number): boolean {
  const isLeapYear = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 && isLeapYear ? 29 : (daysInMonth[month - 1] ?? 0);
  return day >= 1 && day <= days;
}

function offsetText(sign: string | undefined, hours = '00', minutes = '00'): string | undefined {
  if (Number(hours) > 24 || Number(minutes) > 60) return undefined;
  const total = Number(hours) * 60 + Number(minutes);
  if (sign === undefined || total === 0) return 'Z';
  const twoDigits = (value: number) => String(value).padStart(2, '0');
  return `${sign}${twoDigits(Math.trunc(total / 60))}:${twoDigits(total % 60)}`;
}
