// The environment of a container, and the `$(NAME)` in its command, as in the API reference of Container.
import type { Api } from './api.ts';
import { type EnvironmentVariable, fieldOf, type Pod } from './objects.ts';

export interface PodAddresses {
  readonly pod: string;
  readonly host: string;
}

/** Later variables may refer to earlier ones and to those of Services, and override them. */
export async function environmentOf(
  variables: readonly EnvironmentVariable[],
  pod: Pod,
  { api, addresses, services }: { api: Api; addresses: PodAddresses; services: Readonly<Record<string, string>> },
): Promise<Readonly<Record<string, string>>> {
  const environment: Record<string, string> = { ...services };
  for (const variable of variables) {
    const value =
      variable.valueFrom === undefined
        ? expand(variable.value ?? '', environment)
        : await referenced(variable, pod, api, addresses);
    if (value !== undefined) environment[variable.name] = value;
  }
  return environment;
}

async function referenced(
  { name, valueFrom }: EnvironmentVariable,
  pod: Pod,
  api: Api,
  addresses: PodAddresses,
): Promise<string | undefined> {
  if (valueFrom?.fieldRef !== undefined) return fieldOf(pod, valueFrom.fieldRef.fieldPath, addresses);
  const { namespace = '' } = pod.metadata;
  const { configMapKeyRef: map, secretKeyRef: secret } = valueFrom ?? {};
  const reference = map ?? secret;
  if (reference === undefined) throw new Error(`variable ${name}: this kubelet does not know where to take it from`);
  const read = map === undefined ? api.secret : api.configMap;
  const value = (await read.call(api, namespace, reference.name))?.get(reference.key);
  if (value === undefined && !reference.optional) {
    throw new Error(`variable ${name}: there is no key ${reference.key} in ${reference.name}`);
  }
  return value?.toString('utf8');
}

/** Expands `$(NAME)` for known names; `$$` stands for `$`; unknown names stay unchanged. */
export function expand(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([A-Za-z_][\w.-]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (environment[name] ?? whole),
  );
}
