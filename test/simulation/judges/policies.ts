// Confidential VMs that run, once nothing goes wrong any more and all policies are where the manifests say: the guest
// has the policy that the status tells of. It is the one that the manifest asks for, or the status says that only a
// restart brings it.

import { isObject } from '../../../crds/structural.ts';
import { sha256Hex } from '../../../protocol/digest.ts';
import type { StoredObject } from '../api-server/objects.ts';
import type { SimulatedSystem } from '../system/system.ts';
import { conditionOf } from './stored-condition.ts';

/** What is not as it has to be, a line each. */
export function policyProblems(system: SimulatedSystem): readonly string[] {
  const objects = system.api.users.list('LinuxUtilityVM').filter(({ spec }) => confidentialOf(spec) !== undefined);
  if (objects.length === 0) return [];
  const guests = new Map<string | undefined, string>();
  for (const { host } of system.machines) {
    const details = new Map(host.systems().map(({ guest, id }) => [id, guest?.securityPolicy ?? '']));
    for (const { id, uid } of host.living()) guests.set(uid, details.get(id) ?? '');
  }
  return objects.flatMap((object) => {
    const policy = guests.get(object.metadata.uid);
    const problem = policy === undefined ? undefined : problemOf(system, object, policy);
    return problem === undefined ? [] : [`${object.metadata.name} ${problem}`];
  });
}

function problemOf(system: SimulatedSystem, object: StoredObject, policy: string): string | undefined {
  const { spec, status } = object;
  const said = isObject(status) ? status['policyDigest'] : undefined;
  if (said !== digestOf(policy)) return `has the policy ${digestOf(policy)}, and its status tells of ${said}`;
  const { securityPolicy, securityPolicyFrom } = confidentialOf(spec) ?? {};
  const resolved = conditionOf(object, 'ReferencesResolved');
  if (securityPolicyFrom !== undefined && resolved?.['status'] !== 'True') {
    return `finds no policy that is there: ${resolved?.['reason']}: ${resolved?.['message']}`;
  }
  const wanted = securityPolicy ?? referred(system, object.metadata.namespace, securityPolicyFrom);
  const waits = conditionOf(object, 'RestartRequired')?.['status'] === 'True';
  if (waits || said === digestOf(String(wanted))) return undefined;
  return `has another policy than its manifest asks for, and its status does not say that it needs a restart`;
}

function referred({ api }: SimulatedSystem, namespace: string | undefined, from: unknown): unknown {
  const reference = isObject(from) ? from['configMapKeyRef'] : undefined;
  if (!isObject(reference)) return undefined;
  const data = api.users.get('ConfigMap', { namespace, name: String(reference['name']) })?.['data'];
  return isObject(data) ? data[String(reference['key'])] : undefined;
}

function confidentialOf(spec: unknown): Readonly<Record<string, unknown>> | undefined {
  const confidential = isObject(spec) ? spec['confidential'] : undefined;
  return isObject(confidential) ? confidential : undefined;
}

/** Of the bytes that the guest enforces. */
function digestOf(policy: string): string {
  return sha256Hex(Buffer.from(policy, 'base64'));
}
