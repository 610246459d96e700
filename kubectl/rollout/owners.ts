// Tools that write the template of a set from Git, and write it again when somebody else changes it.
import { z } from 'zod';
import type { ShownSet } from './objects.ts';

const tools: readonly { readonly name: string; readonly managers: RegExp; readonly marks: readonly string[] }[] = [
  {
    name: 'Flux',
    managers: /^(?:kustomize|helm)-controller$/,
    marks: ['kustomize.toolkit.fluxcd.io/name', 'helm.toolkit.fluxcd.io/name'],
  },
  {
    name: 'Argo CD',
    managers: /^argocd-/,
    marks: ['argocd.argoproj.io/tracking-id', 'argocd.argoproj.io/instance'],
  },
];

const managedFields = z
  .array(
    z.looseObject({
      manager: z.string(),
      fieldsV1: z.looseObject({ 'f:spec': z.looseObject({ 'f:template': z.unknown() }) }),
    }),
  )
  .catch([]);

export function ownersOf({ metadata }: ShownSet): readonly string[] {
  const entries = z.array(z.unknown()).catch([]).parse(metadata['managedFields']);
  const managers = entries.flatMap((entry) => managedFields.parse([entry])).filter(writesTemplate);
  const marks = new Set([metadata.labels, metadata.annotations].flatMap((each) => Object.keys(each)));
  const isOwner = (tool: (typeof tools)[number]) =>
    tool.marks.some((mark) => marks.has(mark)) || managers.some(({ manager }) => tool.managers.test(manager));
  return tools.filter(isOwner).map(({ name }) => name);
}

function writesTemplate({ fieldsV1 }: z.infer<typeof managedFields>[number]): boolean {
  return fieldsV1['f:spec']['f:template'] !== undefined;
}
