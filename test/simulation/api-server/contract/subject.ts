import { z } from 'zod';
import type { ApiError, Outcome } from '../../../../operator/kubernetes/api-error.ts';
import { machineKind } from '../../../../operator/kubernetes/caches.ts';
import type { KubeHttp } from '../../../../operator/kubernetes/http.ts';
import type { VirtualMachine } from '../../../../operator/kubernetes/objects.ts';
import { collectionPath, ResourceClient } from '../../../../operator/kubernetes/resource-client.ts';
import type { Clock } from '../../../../runtime/clock.ts';

export interface ContractSubject {
  readonly http: KubeHttp;
  readonly clock: Clock;
  /** Nobody else uses it. */
  readonly namespace: string;
  /** A token that the server accepts for this audience, and its user. */
  readonly token: { readonly token: string; readonly audience: string; readonly username: string };
  /** In simulated time, time passes until the work is done. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

export const storedObject = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.number().optional(),
    creationTimestamp: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).optional(),
  }),
  spec: z.unknown().optional(),
  status: z.unknown().optional(),
});
type StoredObject = z.infer<typeof storedObject>;

export const listed = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    continue: z.string().optional(),
    remainingItemCount: z.number().optional(),
  }),
  items: z.array(storedObject),
});

export const merge = 'application/merge-patch+json';
export const foreignFinalizer = 'example.com/kept';

/** What tests do with LinuxUtilityVMs. */
export class Machines {
  readonly http: KubeHttp;
  readonly client: ResourceClient<VirtualMachine>;
  readonly path: string;
  readonly namespace: string;

  constructor({ http, namespace }: ContractSubject) {
    this.http = http;
    this.namespace = namespace;
    this.client = new ResourceClient(http, machineKind);
    this.path = collectionPath(machineKind, namespace);
  }

  create(name: string, members: object = {}, metadata: object = {}): Promise<StoredObject> {
    const { apiVersion, kind } = machineKind;
    const body = { apiVersion, kind, metadata: { name, ...metadata }, spec: {}, ...members };
    return this.#stored(this.http.request({ method: 'POST', path: this.path, body }));
  }

  get(name: string): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'GET', path: `${this.path}/${name}` });
  }

  /** Also of a subresource: `name/status`. */
  patch(name: string, body: object): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'PATCH', path: `${this.path}/${name}`, contentType: merge, body });
  }

  patched(name: string, body: object): Promise<StoredObject> {
    return this.#stored(this.patch(name, body));
  }

  replace(name: string, body: object): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'PUT', path: `${this.path}/${name}`, body });
  }

  delete(name: string, options?: object): Promise<Outcome<unknown>> {
    const path = `${this.path}/${name}`;
    return this.http.request({ method: 'DELETE', path, ...(options !== undefined && { body: options }) });
  }

  async parsed(name: string): Promise<VirtualMachine> {
    const outcome = await this.client.get({ name, namespace: this.namespace });
    if (!outcome.ok) throw new Error(outcome.error.message);
    return outcome.value;
  }

  async page(query: Readonly<Record<string, string | number>>) {
    return listed.parse(accepted(await this.http.request({ method: 'GET', path: this.path, query })));
  }

  async removeAll(): Promise<void> {
    for (const { metadata } of (await this.page({})).items) {
      await this.delete(metadata.name);
      await this.patch(metadata.name, { metadata: { finalizers: null } });
    }
  }

  async #stored(outcome: Promise<Outcome<unknown>>): Promise<StoredObject> {
    return storedObject.parse(accepted(await outcome));
  }
}

export function accepted<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.error.code} ${outcome.error.reason}: ${outcome.error.message}`);
  return outcome.value;
}

export function refused(outcome: Outcome<unknown>): ApiError {
  if (outcome.ok) throw new Error(`was accepted: ${JSON.stringify(outcome.value)}`);
  return outcome.error;
}

export const readiness = (status: 'True' | 'False') => ({
  type: 'Ready',
  status,
  reason: 'Testing',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

export type Run = (work: (machines: Machines, subject: ContractSubject) => Promise<void>) => Promise<void>;
