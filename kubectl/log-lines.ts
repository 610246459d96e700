// What `kubectl luvm logs` makes of each line: leaves out lines before a time, and puts times and names in front. A line
// begins with the time that the guest gave it, if it gave one; the host records no other.

export interface LineFormat {
  /** Milliseconds since the Unix epoch. */
  readonly since?: number | undefined;
  /** Every line begins with a time. */
  readonly timestamps?: boolean | undefined;
  readonly prefix?: string | undefined;
}

const timeAtStart = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})(?= |$)/;

export class LineFormatter {
  readonly #format: LineFormat;
  #isShown: boolean;
  /** The time of the last line that has one. */
  #time = '-';

  constructor(format: LineFormat) {
    this.#format = format;
    this.#isShown = format.since === undefined;
  }

  /** Undefined: the line is not shown. All lines after the first shown one are shown, whatever the guest's clock says. */
  take(line: string): string | undefined {
    const { prefix = '', since, timestamps = false } = this.#format;
    const time = timeAtStart.exec(line)?.[0];
    this.#time = time ?? this.#time;
    if (since !== undefined && time !== undefined && Date.parse(time) >= since) this.#isShown = true;
    if (!this.#isShown) return undefined;
    return `${prefix}${timestamps && time === undefined ? `${this.#time} ` : ''}${line}`;
  }
}
