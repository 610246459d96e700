// The screen of a terminal as a picture.
import { fileURLToPath } from 'node:url';
import { Resvg } from '@resvg/resvg-js';

export interface Cell {
  /** Empty for the second cell of a wide character. */
  readonly text: string;
  readonly isBold: boolean;
  readonly isInverse: boolean;
  readonly isRed: boolean;
}

const cell = { width: 9, height: 18, baseline: 14, font: 15 } as const;
const margin = 12;
const colours = { background: '#1b1f24', text: '#d6dbe1', red: '#ff7b72' } as const;
const fonts = ['DejaVuSansMono', 'DejaVuSansMono-Bold'].map((name) =>
  fileURLToPath(import.meta.resolve(`dejavu-fonts-ttf/ttf/${name}.ttf`)),
);

export function pngOf(rows: readonly (readonly Cell[])[]): Uint8Array {
  const font = { loadSystemFonts: false, fontFiles: fonts, defaultFontFamily: 'DejaVu Sans Mono' };
  return new Resvg(svgOf(rows), { font, background: colours.background, fitTo: { mode: 'zoom', value: 2 } })
    .render()
    .asPng();
}

function svgOf(rows: readonly (readonly Cell[])[]): string {
  const width = margin * 2 + Math.max(...rows.map((row) => row.length)) * cell.width;
  const height = margin * 2 + rows.length * cell.height;
  const parts = rows.flatMap((row, y) => row.flatMap((each, x) => partsOf(each, x, y)));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join('')}</svg>`;
}

function partsOf({ isBold, isInverse, isRed, text }: Cell, column: number, row: number): readonly string[] {
  const [x, y] = [margin + column * cell.width, margin + row * cell.height];
  const ink = isRed ? colours.red : colours.text;
  const box = `<rect x="${x}" y="${y}" width="${cell.width}" height="${cell.height}" fill="${ink}"/>`;
  const style = `font-family="DejaVu Sans Mono" font-size="${cell.font}"${isBold ? ' font-weight="bold"' : ''}`;
  const letter = `<text x="${x}" y="${y + cell.baseline}" ${style} fill="${isInverse ? colours.background : ink}">${escaped(text)}</text>`;
  return [...(isInverse ? [box] : []), ...(text.trim() === '' ? [] : [letter])];
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>]/g, (character) => entities[character] ?? character);
}
