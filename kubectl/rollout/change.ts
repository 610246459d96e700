// `kubectl luvm rollout pause`, `resume`, `restart` and `undo`: they change the set, and the operator does the rest.
import { changeCauseAnnotation, restartedAtAnnotation } from '../../crds/names.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { haveSameMeaning, parseTemplate } from '../../sets/templates.ts';
import { type Api, ApiFailure } from '../api.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { type Selection, selectedOf, setsPath } from '../machines.ts';
import { setType } from '../object-types.ts';
import { showObjects } from '../output.ts';
import type { OutputFormat } from '../output-formats.ts';
import { tell, writeTo } from '../terminal.ts';
import { revisionWithNumber } from './history.ts';
import { readSet, revisionsOf, type ShownRevision, type ShownSet, setPath } from './objects.ts';
import { ownersOf } from './owners.ts';

export interface ChangeOptions extends Selection {
  readonly output?: OutputFormat | undefined;
}

interface Written {
  readonly object: unknown;
  readonly done: string;
  /** What else the user should know. */
  readonly caveats: readonly string[];
}

type Change = (set: ShownSet, ports: CommandPorts) => Promise<Written>;

export function pause(options: ChangeOptions, ports: CommandPorts): Promise<number> {
  return change(options, (set, { api }) => switched(api, set, true), ports);
}

export function resume(options: ChangeOptions, ports: CommandPorts): Promise<number> {
  return change(options, (set, { api }) => switched(api, set, false), ports);
}

export function restart(options: ChangeOptions, ports: CommandPorts): Promise<number> {
  return change(options, restarted, ports);
}

export function undo(
  options: ChangeOptions & { readonly toRevision?: number | undefined },
  ports: CommandPorts,
): Promise<number> {
  return change(options, (set, { api }) => rolledBack(api, set, options.toRevision), ports);
}

/** Each set gets its change, also when another one cannot have it. */
async function change(options: ChangeOptions, work: Change, ports: CommandPorts): Promise<number> {
  const { api, terminal } = ports;
  const names = await selectedOf(api, options, setType, setsPath(api.namespace));
  const objects: unknown[] = [];
  for (const name of names) {
    try {
      const { caveats, done, object } = await work(await readSet(api, name), ports);
      objects.push(object);
      if (options.output === undefined) await writeTo(terminal.output, `${setType.shown}/${name} ${done}\n`);
      for (const caveat of caveats) tell(terminal, `${setType.short}/${name}: ${caveat}`);
    } catch (error) {
      tell(terminal, `error: ${messageOf(error)}`);
    }
  }
  if (options.output !== undefined && objects.length > 0) {
    await showObjects(terminal, options.output, objects, setType.shown);
  }
  return objects.length === names.length ? exitCodes.ok : exitCodes.failed;
}

async function switched(api: Api, { metadata: { name } }: ShownSet, isPaused: boolean): Promise<Written> {
  const body = { spec: { update: { paused: isPaused ? true : null } } };
  return { object: await patch(api, name, { body }), done: isPaused ? 'paused' : 'resumed', caveats: [] };
}

async function restarted(set: ShownSet, { api, clock }: CommandPorts): Promise<Written> {
  const { name } = set.metadata;
  if (set.spec.update.method === 'LiveOnly') {
    throw new Error(`${setType.short}/${name}: spec.update.method is LiveOnly, so its VMs are never restarted`);
  }
  const value = new Date(clock.now()).toISOString();
  const body = { spec: { template: { metadata: { annotations: { [restartedAtAnnotation]: value } } } } };
  const done = `restarted (${restartedAtAnnotation}=${value})`;
  return { object: await patch(api, name, { body }), done, caveats: caveatsOf(set) };
}

async function rolledBack(api: Api, set: ShownSet, toRevision: number | undefined): Promise<Written> {
  const { name } = set.metadata;
  const all = await revisionsOf(api, set);
  const wanted = toRevision === undefined ? formerRevision(all, set) : revisionWithNumber(all, toRevision, name);
  const template = wanted.data?.template;
  if (template === undefined)
    throw new Error(`revision ${wanted.revision} of ${setType.short}/${name} has no template`);
  if (sameTemplate(template, set.spec.template)) {
    const done = `not changed: it has the template of revision ${wanted.revision} already`;
    return { object: set, done, caveats: [] };
  }
  const body = [
    { op: 'test', path: '/metadata/generation', value: set.metadata.generation },
    { op: 'replace', path: '/spec/template', value: template },
    ...causeChange(set, wanted),
  ];
  try {
    const object = await patch(api, name, { body, contentType: 'application/json-patch+json' });
    return { object, done: `rolled back to revision ${wanted.revision}`, caveats: caveatsOf(set) };
  } catch (error) {
    throw await withCause(error, api, set);
  }
}

/** The newest revision that is not that of the present template, whether or not the operator has stored that one. */
function formerRevision(all: readonly ShownRevision[], { metadata, spec }: ShownSet): ShownRevision {
  const found = all.findLast(({ data }) => data !== undefined && !sameTemplate(data.template, spec.template));
  if (found !== undefined) return found;
  throw new Error(`${setType.short}/${metadata.name} has no earlier revision to go back to`);
}

/** A former template may lack defaults of the present schema. */
function sameTemplate(a: unknown, b: unknown): boolean {
  const [one, other] = [parseTemplate(a), parseTemplate(b)];
  return one !== undefined && other !== undefined && haveSameMeaning(one, other);
}

/** The set tells the cause of the template that it has. */
function causeChange({ metadata }: ShownSet, wanted: ShownRevision): readonly object[] {
  const before = metadata.annotations[changeCauseAnnotation];
  const value = wanted.metadata.annotations[changeCauseAnnotation];
  if (before === value) return [];
  const path = `/metadata/annotations/${changeCauseAnnotation.replaceAll('/', '~1')}`;
  if (value === undefined) return [{ op: 'remove', path }];
  if (Object.keys(metadata.annotations).length > 0) return [{ op: 'add', path, value }];
  return [{ op: 'add', path: '/metadata/annotations', value: { [changeCauseAnnotation]: value } }];
}

/** The API server says of a failed `test` only that the patch is not valid. */
async function withCause(error: unknown, api: Api, { metadata: { generation, name } }: ShownSet): Promise<unknown> {
  if (!(error instanceof ApiFailure) || error.code !== 422) return error;
  const now = await readSet(api, name);
  if (now.metadata.generation === generation) return error;
  return new Error(
    `${setType.short}/${name} was changed by somebody else meanwhile, so nothing was written: try again`,
  );
}

async function patch(
  api: Api,
  name: string,
  request: { readonly body: object; readonly contentType?: string },
): Promise<unknown> {
  const query = new URLSearchParams({ fieldManager: 'kubectl-luvm' });
  return await api.json({ method: 'PATCH', path: setPath(api.namespace, name), query, ...request });
}

/** Why the VMs do not get a changed template, or do not keep it. */
function caveatsOf(set: ShownSet): readonly string[] {
  const { name } = set.metadata;
  const { paused, type } = set.spec.update;
  const owners = ownersOf(set).map(
    (owner) => `${owner} writes its template, and may take this back: change it in Git, too`,
  );
  if (paused) {
    return [`paused: the VMs follow after "kubectl luvm rollout resume ${setType.short}/${name}"`, ...owners];
  }
  return type === 'OnDelete' ? ['spec.update.type is OnDelete: a VM follows when you delete it', ...owners] : owners;
}
