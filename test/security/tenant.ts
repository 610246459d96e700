// A team with its own namespace, whose VMs all want to run on one host of the system under attack.
import { z } from 'zod';
import type { RunningSystem } from '../support/system/running-system.ts';
import { attackedHost } from './path-attempts.ts';

const machine = z.object({
  status: z
    .object({
      phase: z.string().optional(),
      observedGeneration: z.number().default(0),
      runtimeID: z.string().optional(),
      systemID: z.string().optional(),
      startFailure: z.unknown().optional(),
      conditions: z
        .array(z.object({ type: z.string(), status: z.string(), reason: z.string(), message: z.string().default('') }))
        .default([]),
    })
    .prefault({}),
});
export type TenantMachine = z.infer<typeof machine>;

/** The host that all teams use. */
export const sharedHost = attackedHost;

export class Tenant implements AsyncDisposable {
  readonly namespace: string;
  readonly #target: RunningSystem;

  private constructor(target: RunningSystem, namespace: string) {
    this.#target = target;
    this.namespace = namespace;
  }

  static async create(target: RunningSystem, namespace: string): Promise<Tenant> {
    await target.kubectl(['create', 'namespace', namespace]);
    return new Tenant(target, namespace);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target.kubectl(['delete', 'luvm', '--all', '-n', this.namespace, '--timeout=60s']);
    await this.#target.kubectl(['delete', 'namespace', this.namespace, '--wait=false']);
  }

  /** False when the API server refuses the manifest. */
  async apply(name: string, spec: Readonly<Record<string, unknown>>): Promise<boolean> {
    const manifest = {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name, namespace: this.namespace },
      spec: { nodeName: sharedHost, memory: { sizeInMB: 256 }, ...spec },
    };
    const { code } = await this.#target.tryKubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(manifest));
    return code === 0;
  }

  async restart(name: string): Promise<void> {
    const request = `lcow.dev/restartedAt=${crypto.randomUUID()}`;
    await this.#target.kubectl(['annotate', 'luvm', name, '-n', this.namespace, request, '--overwrite']);
  }

  async delete(name: string): Promise<void> {
    await this.#target.kubectl(['delete', 'luvm', name, '-n', this.namespace, '--timeout=60s']);
  }

  async get(name: string): Promise<TenantMachine> {
    return machine.parse(
      JSON.parse(await this.#target.kubectl(['get', 'luvm', name, '-n', this.namespace, '-o', 'json'])),
    );
  }

  async until(name: string, what: string, holds: (found: TenantMachine) => boolean): Promise<TenantMachine> {
    let last: TenantMachine | undefined;
    const probe = async () => {
      last = await this.get(name);
      return holds(last) && last;
    };
    return await this.#target.until(`${this.namespace}/${name} ${what}`, probe).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(last?.status)}`);
    });
  }
}

export function readyOf({ status }: TenantMachine) {
  return status.conditions.find(({ type }) => type === 'Ready');
}

export const runs = (found: TenantMachine) => found.status.phase === 'Running' && readyOf(found)?.status === 'True';
export const isHeldBy =
  (...reasons: readonly string[]) =>
  (found: TenantMachine) =>
    reasons.includes(readyOf(found)?.reason ?? '');
