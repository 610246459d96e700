// A forecast in words.
import { beginning } from '../../runtime/beginning.ts';
import { counted } from '../../runtime/counted.ts';
import type { PreviewStep } from '../../sets/preview.ts';
import { setType } from '../object-types.ts';
import { tableLines } from '../table.ts';
import type { FieldForecast, Forecast } from './forecast.ts';

export function forecastLines(forecast: Forecast): readonly string[] {
  const { problem } = forecast;
  return [
    headline(forecast),
    ...fieldLines(forecast),
    ...(problem === undefined ? stepLines(forecast) : [`The set stalls, and nothing happens: ${problem}`]),
  ];
}

function headline({ isNew, set, settings, template }: Forecast): string {
  const name = `${setType.short}/${set}`;
  if (isNew) return `${name} is new.`;
  const count = template.length + settings.length;
  return count === 0 ? `${name} does not change.` : `${name}: ${counted(count, 'changed field')}.`;
}

const valueChars = 40;

export function fieldLines({ settings, template }: Pick<Forecast, 'settings' | 'template'>): readonly string[] {
  if (template.length + settings.length === 0) return [];
  const row = (prefix: string, { from, needs, path, to }: FieldForecast) => [
    `${prefix}${path}`,
    valueText(from),
    valueText(to),
    needs ?? '-',
  ];
  const rows = [...template.map((field) => row('template.', field)), ...settings.map((field) => row('', field))];
  return ['', ...tableLines([['FIELD', 'FROM', 'TO', 'NEEDS'], ...rows]), ''];
}

function valueText(value: unknown): string {
  const text = value === undefined ? '<none>' : JSON.stringify(value);
  const short = beginning(text, valueChars);
  return short === text ? text : `${short}…`;
}

function stepLines(forecast: Forecast): readonly string[] {
  const { kept, keptBy, refused, steps, waiting } = forecast;
  const lines = steps.map((step, index) => `${index + 1}. ${stepText(step, forecast)}: ${namesText(step.names)}`);
  if (kept > 0) lines.push(`${counted(kept, 'VM')} without the present template for now (${keptBy})`);
  if (waiting.length > 0) {
    lines.push(`Later, because deleted, drained, not ready, or on hosts that are away: ${namesText(waiting)}`);
  }
  if (refused.length > 0) {
    lines.push(`The set stalls: the method LiveOnly allows no restart (LiveChangeRefused) of ${namesText(refused)}`);
  }
  return lines.length === 0 ? ['No VM changes.'] : lines;
}

const actions = {
  Create: 'made',
  Delete: 'deleted',
  LivePart: 'changed while running, as far as that can be',
  Live: 'changed while running',
  Switch: 'stopped or started',
  Restart: 'restarted',
  Recreate: 'replaced by new VMs',
} as const;

function stepText({ isBounded, kind, names }: PreviewStep, forecast: Forecast): string {
  const what = `${counted(names.length, 'VM')} ${actions[kind]}`;
  if (kind === 'Create' || kind === 'Delete') return what;
  if (!isBounded) return `${what} at once, because not available now`;
  const { maxParallelLive, maxUnavailable, unavailable } = forecast;
  if (kind === 'Live' || kind === 'LivePart') return `${what}, at most ${maxParallelLive} at a time (maxParallelLive)`;
  const away = unavailable === 0 ? '' : `, of which ${unavailable} are now`;
  return `${what}, while at most ${maxUnavailable} are unavailable (maxUnavailable${away})`;
}

const shownNames = 6;

/** The first ones, and the last one: they go down by their ordinals. */
function namesText(names: readonly string[]): string {
  if (names.length <= shownNames) return names.join(', ');
  return `${names.slice(0, shownNames - 1).join(', ')}, … ${names.at(-1) ?? ''}`;
}
