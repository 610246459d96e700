// Revisions of a set's template, stored as ControllerRevisions.
import { z } from 'zod';
import type { LinuxUtilityVMSetStatus } from '../../../crds/linux-utility-vm-set.ts';
import type { SetTemplate } from '../../../crds/set/template.ts';
import { canonicalJson, type JsonValue, sha256Hex } from '../../../protocol/digest.ts';
import { haveSameMeaning, parseTemplate } from '../../../sets/templates.ts';
import { parseStored, type Stored } from '../../kubernetes/objects.ts';
import type { ResourceKind } from '../../kubernetes/resource-client.ts';

export interface Revision extends Stored {
  readonly number: number;
  /** Undefined if the present schema cannot read it. */
  readonly template: SetTemplate | undefined;
}

const content = z.object({
  revision: z.number().catch(0),
  data: z.object({ template: z.unknown() }).catch({ template: undefined }),
});

export function parseRevision(raw: unknown): Revision | undefined {
  const stored = parseStored(raw);
  const read = content.safeParse(raw);
  if (stored === undefined || !read.success) return undefined;
  return {
    metadata: stored.metadata,
    number: read.data.revision,
    template: parseTemplate(read.data.data.template),
  };
}

export const revisionKind: ResourceKind<Revision> = {
  apiVersion: 'apps/v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  parse: parseRevision,
};

export function revisionOf(revisions: readonly Revision[], template: SetTemplate): Revision | undefined {
  const same = revisions.filter((each) => each.template !== undefined && haveSameMeaning(each.template, template));
  return same.sort((a, b) => b.number - a.number)[0];
}

export function highestNumber(revisions: readonly Revision[]): number {
  return Math.max(0, ...revisions.map(({ number }) => number));
}

/** No vowels, so that no words come up, and no digits that look like letters. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
const hashChars = 5;

/** `collisionCount`: how often a name turned out to be that of another revision. */
export function revisionName(
  set: string,
  template: SetTemplate,
  collisionCount: LinuxUtilityVMSetStatus['collisionCount'] = 0,
): string {
  const digest = sha256Hex(`${canonicalJson(jsonOf(template))}\0${collisionCount}`);
  let rest = Number.parseInt(digest.slice(0, 12), 16);
  let hash = '';
  for (let index = 0; index < hashChars; index += 1) {
    hash += alphabet[rest % alphabet.length] ?? '';
    rest = Math.floor(rest / alphabet.length);
  }
  return `${set}-${hash}`;
}

function jsonOf(template: SetTemplate): JsonValue {
  return z.json().parse(JSON.parse(JSON.stringify(template)));
}

/** The oldest revisions beyond the limit that neither the set nor a VM needs. */
export function surplusRevisions(
  revisions: readonly Revision[],
  inUse: ReadonlySet<string>,
  limit: number,
): readonly Revision[] {
  const unused = revisions.filter(({ metadata }) => !inUse.has(metadata.name)).sort((a, b) => a.number - b.number);
  return unused.slice(0, Math.max(0, unused.length - limit));
}
