// The files that `convert` reads: a JSON object of annotations, an OCI runtime spec, or the manifest of a Pod; in YAML or
// JSON.
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { type OciSpec, ociSpec } from './spec.ts';

export interface AnnotatedInput {
  readonly spec: OciSpec;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
}

/** Kubernetes stores no object that is larger. */
const longestInput = 2 << 20;

/** Throws an error whose message says what is wrong with the text. */
export function readInput(text: string): AnnotatedInput {
  if (text.length > longestInput) throw new Error(`must have at most ${longestInput} characters`);
  const value = onlyDocument(text);
  if (!isObject(value)) throw new Error('must be an object: annotations, an OCI spec, or the manifest of a Pod');
  if ('kind' in value && 'apiVersion' in value) return readPod(value);
  if (isOciSpec(value)) return { spec: parsed(ociSpec, value) };
  return { spec: { linux: {}, annotations: parsed(annotationTexts, value) } };
}

function onlyDocument(text: string): unknown {
  // Numbers of an OCI spec have 64 bits.
  const documents = parseAllDocuments(text, { intAsBigInt: true, prettyErrors: false });
  const filled = (Array.isArray(documents) ? documents : []).filter(({ contents }) => contents !== null);
  const [document, second] = filled;
  if (document === undefined) throw new Error('has no content');
  if (second !== undefined) throw new Error('must have one document, not several');
  const [problem] = document.errors;
  if (problem !== undefined) throw new Error(problem.message);
  return document.toJS();
}

const annotationTexts = z.record(
  z.string(),
  z.string('the value of an annotation is text: put it in quotes, and keep other members out'),
);

const pod = z.looseObject({
  kind: z.literal('Pod', 'must be Pod: give the manifest of a Pod, or only its annotations'),
  metadata: z
    .looseObject({
      name: z.string().optional(),
      namespace: z.string().optional(),
      annotations: annotationTexts.nullish(),
    })
    .prefault({}),
});

function readPod(value: object): AnnotatedInput {
  const { metadata } = parsed(pod, value);
  const { annotations, name, namespace } = metadata;
  return { spec: { linux: {}, annotations }, name, namespace };
}

/** Keys of annotations have no such names, and values of annotations are texts. */
function isOciSpec(value: object): boolean {
  const members: ReadonlyMap<string, unknown> = new Map(Object.entries(value));
  return members.has('ociVersion') || ['annotations', 'linux', 'windows'].some((name) => isObject(members.get(name)));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ message, path }) => `${path.join('.')}: ${message}`);
  throw new Error(problems.join('; '));
}
