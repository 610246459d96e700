// The conditions of stored objects, whose status is unknown to the API server's store.
import { isObject } from '../../../crds/structural.ts';
import type { StoredObject } from '../api-server/objects.ts';

export function conditionOf({ status }: StoredObject, type: string): Readonly<Record<string, unknown>> | undefined {
  const conditions: unknown = isObject(status) ? status['conditions'] : undefined;
  return Array.isArray(conditions) ? conditions.filter(isObject).find((each) => each['type'] === type) : undefined;
}
