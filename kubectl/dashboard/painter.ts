// Draws lines on the alternate screen of a terminal, and only those that have changed (ECMA-48).
import type { Writable } from 'node:stream';
import type { Line } from './screen.ts';

const alternateScreen = '\x1b[?1049h\x1b[?25l\x1b[2J';
const usualScreen = '\x1b[?25h\x1b[?1049l';
const endOfLine = '\x1b[K';
const [reset, bold, inverse, red] = ['\x1b[0m', '\x1b[1m', '\x1b[7m', '\x1b[31m'];

export class Painter {
  readonly #output: Writable;
  readonly #styles: Readonly<Record<Line['style'], string>>;
  #shown: readonly string[] = [];

  constructor(output: Writable, hasColours: boolean) {
    this.#output = output;
    this.#styles = { plain: '', heading: bold, chosen: inverse, wrong: hasColours ? red : bold };
  }

  begin(): void {
    this.#shown = [];
    this.#output.write(alternateScreen);
  }

  end(): void {
    this.#output.write(usualScreen);
  }

  /** The terminal has another size: nothing is where it was. */
  forget(): void {
    this.#shown = [];
    this.#output.write('\x1b[2J');
  }

  paint(lines: readonly Line[]): void {
    const texts = lines.map(({ style, text }) => {
      const begin = this.#styles[style];
      return begin === '' ? text : `${begin}${text}${reset}`;
    });
    const changed = texts.flatMap((text, index) =>
      text === this.#shown[index] ? [] : [`\x1b[${index + 1};1H${text}${endOfLine}`],
    );
    this.#shown = texts;
    if (changed.length > 0) this.#output.write(changed.join(''));
  }
}
