// `kubectl luvm rollout history`: the stored revisions of a set's template, and how many VMs have each.
import { changeCauseAnnotation, revisionLabel } from '../../crds/names.ts';
import { counted } from '../../runtime/counted.ts';
import { parseTemplate } from '../../sets/templates.ts';
import { ageOf } from '../age.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { metadataList } from '../machines.ts';
import { setType } from '../object-types.ts';
import { showObjects, written } from '../output.ts';
import type { OutputFormat } from '../output-formats.ts';
import { tableLines } from '../table.ts';
import { showLines, type Terminal, tell, writeTo } from '../terminal.ts';
import { templateFields } from './forecast.ts';
import { fieldLines } from './forecast-text.ts';
import { membersOf, readSet, revisionsOf, type ShownRevision, type ShownSet } from './objects.ts';

export interface HistoryOptions {
  /** Shows the template of this revision. */
  readonly revision?: number | undefined;
  /** Shows what the present template would have to change to become that of the revision. */
  readonly diff?: boolean | undefined;
  readonly output?: OutputFormat | undefined;
}

export async function history(
  name: string,
  { diff = false, output, revision }: HistoryOptions,
  ports: CommandPorts,
): Promise<number> {
  const { api, terminal } = ports;
  if (diff && (revision === undefined || output !== undefined)) throw new Error('--diff needs --revision, and no -o');
  const set = await readSet(api, name);
  const all = await revisionsOf(api, set);
  const shown = revision === undefined ? all : [revisionWithNumber(all, revision, name)];
  if (output !== undefined) {
    await showObjects(terminal, output, shown, 'controllerrevision.apps');
    return exitCodes.ok;
  }
  const [only] = shown;
  if (revision === undefined) await showAll(set, all, ports);
  else if (diff) await showDifference(set, only?.data?.template, terminal);
  else await showLines(terminal, Buffer.from(await written('yaml', only?.data?.template)));
  return exitCodes.ok;
}

async function showDifference({ spec }: ShownSet, raw: unknown, terminal: Terminal): Promise<void> {
  const [present, former] = [spec.template, raw].map(parseTemplate);
  if (present === undefined || former === undefined) {
    throw new Error('this version of the plugin cannot read the two templates: leave --diff out');
  }
  const template = templateFields(present, former, spec.update.method);
  const lines = template.length === 0 ? ['The present template is the same.'] : fieldLines({ template, settings: [] });
  await writeTo(terminal.output, `${lines.filter((line) => line !== '').join('\n')}\n`);
}

async function showAll(
  set: ShownSet,
  all: readonly ShownRevision[],
  { api, clock, terminal }: CommandPorts,
): Promise<void> {
  const counts = new Map<string | undefined, number>();
  for await (const { metadata } of membersOf(api, set, { accept: metadataList })) {
    const having = metadata.labels[revisionLabel];
    counts.set(having, (counts.get(having) ?? 0) + 1);
  }
  await writeTo(terminal.output, `${tableLines(rows(all, counts, clock.now())).join('\n')}\n`);
  const known = all.reduce((sum, { metadata }) => sum + (counts.get(metadata.name) ?? 0), 0);
  const others = [...counts.values()].reduce((sum, count) => sum + count, 0) - known;
  if (others > 0) tell(terminal, `${counted(others, 'VM')} of the set with none of these revisions`);
}

export function revisionWithNumber(all: readonly ShownRevision[], number: number, set: string): ShownRevision {
  const found = all.find(({ revision }) => revision === number);
  if (found !== undefined) return found;
  const known = all.map(({ revision }) => revision).join(', ');
  const fix = known === '' ? 'the operator has stored none yet' : `there are ${known}`;
  throw new Error(`${setType.short}/${set} has no revision ${number}: ${fix}`);
}

function rows(
  all: readonly ShownRevision[],
  counts: ReadonlyMap<string | undefined, number>,
  now: number,
): readonly (readonly string[])[] {
  const heading = ['REVISION', 'NAME', 'VMS', 'AGE', 'CHANGE-CAUSE'];
  const lines = all.map(({ metadata, revision }) => [
    String(revision),
    metadata.name,
    String(counts.get(metadata.name) ?? 0),
    ageOf(metadata.creationTimestamp, now),
    metadata.annotations[changeCauseAnnotation] ?? '<none>',
  ]);
  return [heading, ...lines];
}
