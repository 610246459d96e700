// How a user names VMs: `NAME` or `TYPE/NAME` as kubectl writes it, or a label selector.
import { z } from 'zod';
import { apiVersion, hostPlural, setPlural, virtualMachinePlural } from '../crds/names.ts';
import { pathSegment } from '../protocol/subresources.ts';
import type { Api } from './api.ts';
import { machineType, type ObjectType, objectName } from './object-types.ts';

/** The name of a VM, given as `NAME` or `TYPE/NAME`. */
export function machineName(text: string): string {
  return objectName(text, machineType);
}

export function machinesPath(namespace: string | undefined): string {
  return collectionPath(namespace, virtualMachinePlural);
}

export function machinePath(namespace: string, name: string): string {
  return `${machinesPath(namespace)}/${pathSegment(name)}`;
}

export function setsPath(namespace: string | undefined): string {
  return collectionPath(namespace, setPlural);
}

/** Without a namespace: of all namespaces. */
function collectionPath(namespace: string | undefined, plural: string): string {
  const within = namespace === undefined ? '' : `/namespaces/${pathSegment(namespace)}`;
  return `/apis/${apiVersion}${within}/${plural}`;
}

export const hostsPath = `/apis/${apiVersion}/${hostPlural}`;
export const namespacesPath = '/api/v1/namespaces';

export interface Selection {
  readonly names: readonly string[];
  readonly selector?: string | undefined;
}

/** The names of the selected VMs. */
export function selectedNames(api: Api, selection: Selection): Promise<readonly string[]> {
  return selectedOf(api, selection, machineType, machinesPath(api.namespace));
}

/** The names of the selected objects of a type, which `path` lists. */
export async function selectedOf(
  api: Api,
  { names, selector }: Selection,
  type: ObjectType,
  path: string,
): Promise<readonly string[]> {
  const { noun } = type;
  if (selector === undefined) {
    if (names.length === 0) throw new Error(`name a ${noun}, or select ${noun}s by their labels with -l`);
    return [...new Set(names.map((name) => objectName(name, type)))];
  }
  if (names.length > 0) throw new Error('give names or a selector, not both');
  const found = await objectNames(api, path, { selector });
  if (found.length === 0) throw new Error(`no ${noun} in the namespace "${api.namespace}" has the labels ${selector}`);
  return found;
}

const metadataOnly = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });
/** Without spec and status, which are most of a VM. */
export const metadataList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';

export async function objectNames(
  api: Api,
  path: string,
  options: Omit<ListOptions, 'accept'> = {},
): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const item of listed(api, path, { ...options, accept: metadataList })) {
    names.push(metadataOnly.parse(item).metadata.name);
  }
  return names;
}

export interface ListOptions {
  readonly accept?: string | undefined;
  readonly selector?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

const page = z.looseObject({
  metadata: z.looseObject({ continue: z.string().optional(), resourceVersion: z.string().default('') }),
  items: z.array(z.unknown()),
});
const pageItems = 500;

/** The objects of a collection, page by page. */
export async function* listed(api: Api, path: string, options: ListOptions = {}): AsyncGenerator<unknown> {
  for await (const { items } of pagesOf(api, path, options)) yield* items;
}

/** The same with the version of the collection, from which a watch can go on. */
export async function* pagesOf(
  api: Api,
  path: string,
  { accept, selector, signal }: ListOptions = {},
): AsyncGenerator<z.infer<typeof page>> {
  let next = '';
  do {
    const query = new URLSearchParams({ limit: String(pageItems) });
    if (selector !== undefined) query.set('labelSelector', selector);
    if (next !== '') query.set('continue', next);
    const answer = page.parse(await api.json({ path, query, ...(accept && { accept }), ...(signal && { signal }) }));
    yield answer;
    next = answer.metadata.continue ?? '';
  } while (next !== '');
}
