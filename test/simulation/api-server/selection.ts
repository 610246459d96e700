// Which objects of a collection a list or watch is about.
import type { StoredObject } from './objects.ts';
import { Refusal } from './refusal.ts';

export type Selection = (object: StoredObject) => boolean;

const selector = /^metadata\.name=(?<name>[^=,]+)$/;

export function selectionOf(namespace: string | undefined, query: URLSearchParams): Selection {
  const fields = query.get('fieldSelector');
  const name = fields === null ? undefined : nameIn(fields);
  return ({ metadata }) =>
    (namespace === undefined || metadata.namespace === namespace) && (name === undefined || metadata.name === name);
}

function nameIn(fields: string): string {
  const name = selector.exec(fields)?.groups?.['name'];
  if (name === undefined) throw new Refusal('BadRequest', `field selector not supported: ${fields}`);
  return name;
}
