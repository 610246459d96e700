// Variables of a template: `$(name)` and `$(ordinal)` stand for the name and the ordinal of the VM, `$$(` for `$(`. Values
// that only one VM of a host can use must differ from VM to VM.
import type { SetTemplate } from '../crds/set/template.ts';
import { machineName } from './ordinals.ts';

export interface VariableValues {
  readonly name: string;
  readonly ordinal: number;
}

export function expanded(template: SetTemplate, values: VariableValues): SetTemplate {
  if (!textsOf(template.spec).some((text) => text.includes('$'))) return template;
  const { console: settings, fileShares, process, storage } = template.spec;
  const pipe = settings?.pipe;
  const disks = storage?.disks;
  const shares = fileShares?.shares;
  const expand = (text: string) => expandText(text, values);
  const withPath = <T extends { readonly path: string }>(each: T) => ({ ...each, path: expand(each.path) });
  return {
    ...template,
    spec: {
      ...template.spec,
      ...(pipe !== undefined && { console: { ...settings, pipe: expand(pipe) } }),
      ...(disks !== undefined && { storage: { ...storage, disks: disks.map(withPath) } }),
      ...(shares !== undefined && { fileShares: { ...fileShares, shares: shares.map(withPath) } }),
      ...(process?.env !== undefined && {
        process: { ...process, env: process.env.map(({ name, value }) => ({ name, value: expand(value) })) },
      }),
    },
  };
}

/** The texts that may contain variables. */
function textsOf({ console: settings, fileShares, process, storage }: SetTemplate['spec']): readonly string[] {
  const paths = [...(storage?.disks ?? []), ...(fileShares?.shares ?? [])].map(({ path }) => path);
  return [settings?.pipe ?? '', ...paths, ...(process?.env ?? []).map(({ value }) => value)];
}

const reference = /\$?\$\(([^()]*\)?)/g;

function expandText(text: string, values: VariableValues): string {
  return text.replace(reference, (whole, inner: string) => {
    if (whole.startsWith('$$')) return whole.slice(1);
    return inner === 'name)' ? values.name : inner === 'ordinal)' ? String(values.ordinal) : whole;
  });
}

/** What is wrong with the template for these ordinals; undefined if nothing is. */
export function templateProblem(template: SetTemplate, set: string, ordinals: readonly number[]): string | undefined {
  return unknownVariable(template) ?? (ordinals.length > 1 ? sharedValue(template, set, ordinals) : undefined);
}

function unknownVariable({ spec }: SetTemplate): string | undefined {
  for (const [whole, inner] of textsOf(spec).flatMap((text) => [...text.matchAll(reference)])) {
    if (whole.startsWith('$$') || inner === 'name)' || inner === 'ordinal)') continue;
    return `the template has the unknown variable ${whole}: use $(name) or $(ordinal), or write $$( for $(`;
  }
  return undefined;
}

function sharedValue(template: SetTemplate, set: string, ordinals: readonly number[]): string | undefined {
  const owners = new Map<string, string>();
  for (const ordinal of ordinals) {
    const name = machineName(set, ordinal);
    for (const [what, value] of exclusiveValues(expanded(template, { name, ordinal }))) {
      const key = `${what}\0${value.replaceAll('/', '\\').toLowerCase()}`;
      const other = owners.get(key);
      if (other !== undefined && other !== name) {
        return `${other} and ${name} would share the ${what} ${value}: put $(name) or $(ordinal) into it`;
      }
      owners.set(key, name);
    }
  }
  return undefined;
}

/** What only one VM of a host can use at a time. */
function exclusiveValues({ spec }: SetTemplate): readonly (readonly [string, string])[] {
  const pipe = spec.console?.pipe;
  const disks = (spec.storage?.disks ?? []).filter(({ readOnly }) => !readOnly);
  return [
    ...(pipe === undefined ? [] : [['console pipe', pipe] as const]),
    ...disks.map(({ path }) => ['writable disk', path] as const),
  ];
}
