// A plot as an SVG file. The same figures always give the same text. Colours follow the reader's light or dark mode.
import type { Plot } from './results.ts';
import { linearScale, logScale, type Scale } from './scale.ts';

const size = { width: 720, height: 400 } as const;
const frame = { left: 76, right: 24, top: 64, bottom: 58 } as const;
const inner = {
  width: size.width - frame.left - frame.right,
  height: size.height - frame.top - frame.bottom,
} as const;
/** A series with more points has a line only. */
const mostDots = 24;

const style = `
  .paper { fill: #ffffff } text { fill: #24292f; font: 12px system-ui, sans-serif }
  .title { font-size: 15px; font-weight: 600 } .grid { stroke: #d0d7de } .bound { stroke: #57606a; stroke-dasharray: 6 4 }
  .line { fill: none; stroke-width: 2 } .s0 { stroke: #0550ae } .s1 { stroke: #bc4c00 } .s2 { stroke: #1a7f37 } .s3 { stroke: #8250df }
  .d0 { fill: #0550ae } .d1 { fill: #bc4c00 } .d2 { fill: #1a7f37 } .d3 { fill: #8250df }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d } .bound { stroke: #9198a1 }
    .s0 { stroke: #79c0ff } .s1 { stroke: #ffa657 } .s2 { stroke: #7ee787 } .s3 { stroke: #d2a8ff }
    .d0 { fill: #79c0ff } .d1 { fill: #ffa657 } .d2 { fill: #7ee787 } .d3 { fill: #d2a8ff }
  }`;
const colours = 4;

export function svgOf(plot: Plot): string {
  const points = plot.series.flatMap((series) => series.points);
  const x = scaleOf(
    plot.x.scale,
    points.map(([value]) => value),
  );
  const bounds = plot.bound === undefined ? [] : [plot.bound.y];
  const y = scaleOf(plot.y.scale, [...points.map(([, value]) => value), ...bounds]);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escaped(plot.title)}">`,
    `<style>${style}\n</style>`,
    `<rect class="paper" width="${size.width}" height="${size.height}" rx="6"/>`,
    `<text class="title" x="${frame.left}" y="24">${escaped(plot.title)}</text>`,
    ...legend(plot),
    ...verticals(x),
    ...horizontals(y),
    `<text x="${frame.left + inner.width / 2}" y="${size.height - 14}" text-anchor="middle">${escaped(plot.x.label)}</text>`,
    `<text transform="translate(18 ${frame.top + inner.height / 2}) rotate(-90)" text-anchor="middle">${escaped(plot.y.label)}</text>`,
    ...plot.series.flatMap((series, index) => drawn(series.points, index % colours, x, y)),
    ...boundLine(plot.bound, y),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function scaleOf(kind: Plot['x']['scale'], values: readonly number[]): Scale {
  return kind === 'log' ? logScale(values) : linearScale(values);
}

function legend({ series, bound }: Plot): readonly string[] {
  const entries = [
    ...series.map(({ name }, index) => ({ name, line: `line s${index % colours}` })),
    ...(bound === undefined ? [] : [{ name: bound.name, line: 'bound' }]),
  ];
  let left: number = frame.left;
  return entries.map(({ name, line }) => {
    const text = `<line class="${line}" x1="${left}" x2="${left + 18}" y1="44" y2="44"/><text x="${left + 24}" y="48">${escaped(name)}</text>`;
    left += 44 + Math.ceil(name.length * 6.6);
    return text;
  });
}

function verticals(x: Scale): readonly string[] {
  const bottom = frame.top + inner.height;
  return x.ticks.map((tick) => {
    const at = across(x, tick);
    return `<line class="grid" x1="${at}" x2="${at}" y1="${frame.top}" y2="${bottom}"/><text x="${at}" y="${bottom + 18}" text-anchor="middle">${numberText(tick)}</text>`;
  });
}

function horizontals(y: Scale): readonly string[] {
  return y.ticks.map((tick) => {
    const at = up(y, tick);
    return `<line class="grid" x1="${frame.left}" x2="${frame.left + inner.width}" y1="${at}" y2="${at}"/><text x="${frame.left - 8}" y="${at + 4}" text-anchor="end">${numberText(tick)}</text>`;
  });
}

function drawn(points: Plot['series'][number]['points'], colour: number, x: Scale, y: Scale): readonly string[] {
  const places = points.map(([one, other]) => `${across(x, one)},${up(y, other)}`);
  const line = `<polyline class="line s${colour}" points="${places.join(' ')}"/>`;
  if (places.length > mostDots) return [line];
  const dots = places.map((place) => {
    const [cx, cy] = place.split(',');
    return `<circle class="d${colour}" cx="${cx}" cy="${cy}" r="3.5"/>`;
  });
  return [line, ...dots];
}

function boundLine(bound: Plot['bound'], y: Scale): readonly string[] {
  if (bound === undefined) return [];
  const at = up(y, bound.y);
  return [`<line class="bound" x1="${frame.left}" x2="${frame.left + inner.width}" y1="${at}" y2="${at}"/>`];
}

function across(x: Scale, value: number): number {
  return tenths(frame.left + x.at(value) * inner.width);
}

function up(y: Scale, value: number): number {
  return tenths(frame.top + (1 - y.at(value)) * inner.height);
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Digits in groups of three, whatever the language of the machine. */
export function numberText(value: number): string {
  const [whole = '', part] = String(value).split('.');
  const grouped = whole.replace(/\B(?=(?:\d{3})+$)/g, ',');
  return part === undefined ? grouped : `${grouped}.${part}`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
