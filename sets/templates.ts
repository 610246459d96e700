// When two templates are the same: if they mean the same under the present schema. An upgrade of the operator, or a default
// that it adds, makes no new revision.
import { type SetTemplate, template as templateSchema } from '../crds/set/template.ts';
import { sameJson } from '../runtime/same-json.ts';

/** Undefined if the present schema cannot read it. */
export function parseTemplate(raw: unknown): SetTemplate | undefined {
  return templateSchema.safeParse(raw).data;
}

/** No labels are the same as an empty map of them. */
export function haveSameMeaning(a: SetTemplate, b: SetTemplate): boolean {
  const [one, other] = [a, b].map(({ metadata, spec }) => ({
    labels: metadata?.labels ?? {},
    annotations: metadata?.annotations ?? {},
    spec,
  }));
  return sameJson(one, other);
}
