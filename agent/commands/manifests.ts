// Kubernetes objects from YAML text: several documents in one file, and lists as `kubectl get -o yaml` prints them.
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import { z } from 'zod';

export interface ManifestObject {
  /** Where the object begins, `file:line`. */
  readonly place: string;
  readonly value: ManifestValue;
}

export interface Manifests {
  readonly objects: readonly ManifestObject[];
  /** One line for each document that is not an object, starting with `file:line: `. */
  readonly problems: readonly string[];
}

const anyObject = z.looseObject({
  kind: z.string().min(1),
  metadata: z
    .looseObject({ name: z.string().optional(), namespace: z.string().optional(), uid: z.string().optional() })
    .optional(),
});
export type ManifestValue = z.infer<typeof anyObject>;

const list = z.looseObject({ kind: z.string().endsWith('List'), items: z.array(anyObject) });

export function parseManifests(file: string, text: string): Manifests {
  const lines = new LineCounter();
  const objects: ManifestObject[] = [];
  const problems: string[] = [];
  for (const document of documentsOf(text, lines)) {
    const at = (offset: number) => `${file}:${lines.linePos(offset).line}`;
    const place = at(document.contents?.range?.[0] ?? document.range?.[0] ?? 0);
    const [error] = document.errors;
    if (error !== undefined) {
      problems.push(`${at(error.pos[0])}: ${firstLine(error.message)}`);
      continue;
    }
    const content = contentOf(document);
    if (content === undefined) continue;
    if (content === 'noObject') problems.push(`${place}: not a Kubernetes object: it has no kind`);
    else objects.push(...content.map((value) => ({ place, value })));
  }
  return { objects, problems };
}

function documentsOf(text: string, lineCounter: LineCounter): Document.Parsed[] {
  const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false });
  return Array.isArray(documents) ? documents : [];
}

/** Undefined for an empty document. */
function contentOf(document: Document.Parsed): ManifestValue[] | 'noObject' | undefined {
  const value: unknown = document.toJS();
  if (value === null || value === undefined) return undefined;
  const items = list.safeParse(value);
  if (items.success) return items.data.items;
  const single = anyObject.safeParse(value);
  return single.success ? [single.data] : 'noObject';
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0] ?? message;
}
