// Which objects of a collection a list or watch is about.
import type { StoredObject } from './objects.ts';
import { Refusal } from './refusal.ts';

export type Selection = (object: StoredObject) => boolean;

const labelSelector = /^(?<label>[^=,!]+)=(?<value>[^=,]*)$/;
const selector = /^metadata\.name=(?<name>[^=,]+)$/;

export function selectionOf(namespace: string | undefined, query: URLSearchParams): Selection {
  const fields = query.get('fieldSelector');
  const name = fields === null ? undefined : nameIn(fields);
  const isLabelled = labelledIn(query.get('labelSelector'));
  return (object) => {
    const { metadata } = object;
    if (namespace !== undefined && metadata.namespace !== namespace) return false;
    return (name === undefined || metadata.name === name) && isLabelled(object);
  };
}

function labelledIn(labels: string | null): Selection {
  if (labels === null) return () => true;
  const { label, value } = labelSelector.exec(labels)?.groups ?? {};
  if (label === undefined) throw new Refusal('BadRequest', `label selector not supported: ${labels}`);
  return ({ metadata }) => metadata.labels?.[label] === value;
}

function nameIn(fields: string): string {
  const name = selector.exec(fields)?.groups?.['name'];
  if (name === undefined) throw new Refusal('BadRequest', `field selector not supported: ${fields}`);
  return name;
}
