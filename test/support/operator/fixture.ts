// An operator in this process with its own real API server, so that no other test's objects interfere.
import { randomUUID } from 'node:crypto';
import { type Logger, pino } from 'pino';
import { expect } from 'vitest';
import { z } from 'zod';
import { apiVersion, type LinuxUtilityVMManifestSpec } from '../../../crds/linux-utility-vm.ts';
import type { AgentAuthenticator } from '../../../operator/agents/authentication.ts';
import { AgentServer } from '../../../operator/agents/server.ts';
import type { CertificateSource } from '../../../operator/certificates/source.ts';
import { type ClusterAccess, loadClusterAccess, plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../../operator/kubernetes/http.ts';
import { defaultLeaseTimes, type Election, LeaseElection } from '../../../operator/kubernetes/lease.ts';
import { LeaseClient } from '../../../operator/kubernetes/lease-client.ts';
import { parseHost, parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { Operator, type OperatorPorts } from '../../../operator/operator.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';

/** Tokens are the names of nodes. */
const tokensAreNames: AgentAuthenticator = {
  authenticate: (bearer) => Promise.resolve({ ok: true, nodeName: bearer }),
};

export interface RunningOperator extends OperatorPorts {
  readonly operator: Operator;
  readonly replica: string;
}

export interface StartOptions {
  readonly clock?: Clock;
  readonly election?: Election;
  readonly access?: ClusterAccess;
  readonly authenticator?: AgentAuthenticator;
  readonly certificates?: CertificateSource;
  readonly heartbeatSeconds?: number;
  readonly logger?: Logger;
  /** Whether to wait until it leads. */
  readonly leads?: boolean;
}

/** A replica that always considers itself the leader, whatever the Lease says. */
export const alwaysElected: Election = {
  start: (listener) => listener.began({ mayWrite: true }),
  stop: () => Promise.resolve(),
};

export class OperatorFixture {
  readonly kubeconfigPath: string;
  readonly http: KubeHttp;
  #replicas = 0;

  constructor(kubeconfigPath: string) {
    this.kubeconfigPath = kubeconfigPath;
    const access = loadClusterAccess(kubeconfigPath, systemClock);
    this.http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
  }

  /** Resolves when the operator leads, if requested. */
  async start({
    clock = systemClock,
    election,
    access,
    leads = true,
    authenticator = tokensAreNames,
    certificates,
    heartbeatSeconds = 100,
    logger = pino({ level: process.env['LCOW_TEST_LOG'] ?? 'silent' }),
  }: StartOptions = {}): Promise<RunningOperator> {
    this.#replicas += 1;
    const replica = `replica-${this.#replicas}`;
    const operator = new Operator({
      access: access ?? loadClusterAccess(this.kubeconfigPath, systemClock),
      election: election ?? this.election(replica),
      authenticator,
      certificates,
      bindAddress: '127.0.0.1',
      agents: (door) =>
        new AgentServer({ door, clock, logger, bindAddress: '127.0.0.1', port: 0, tls: certificates !== undefined }),
      healthPort: 0,
      heartbeatSeconds,
      version: 'test',
      replica,
      clock,
      random: Math.random,
      randomUUID,
      logger,
    });
    const ports = await operator.start();
    await until(async () => (await fetch(`http://127.0.0.1:${ports.health}/readyz`)).ok);
    if (leads) await until(() => operator.leads);
    return { operator, replica, ...ports };
  }

  /** Uses real time, whatever clock the operator has, because other replicas use real time. */
  election(identity: string, { clock = systemClock, times = defaultLeaseTimes } = {}): Election {
    const { http } = this;
    const client = new LeaseClient({ http, clock, namespace: 'default', name: 'lcow-operator' });
    const monotonic = () => performance.now();
    return new LeaseElection({ client, clock, random: Math.random, monotonic, identity, times });
  }

  /** Another client of the API server, or of a different server. */
  httpWith(changes: { readonly onResult?: () => void; readonly server?: URL }): KubeHttp {
    const { onResult, server } = changes;
    const access = server === undefined ? loadClusterAccess(this.kubeconfigPath, systemClock) : plainAccess(server);
    const observed = onResult === undefined ? {} : { onResult };
    return new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test', ...observed });
  }

  async request(request: KubeRequest): Promise<unknown> {
    const outcome = await this.http.request(request);
    if (!outcome.ok) throw new Error(`${request.method} ${request.path}: ${outcome.error.message}`);
    return outcome.value;
  }

  async createNode(name: string, spec: { readonly unschedulable?: boolean } = {}): Promise<void> {
    await this.request({
      method: 'POST',
      path: '/api/v1/nodes',
      body: { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec },
    });
  }

  async create(name: string, spec: LinuxUtilityVMManifestSpec = {}): Promise<VirtualMachine> {
    const body = { apiVersion, kind: 'LinuxUtilityVM', metadata: { name }, spec };
    return parsed(await this.request({ method: 'POST', path: machinesPath, body }));
  }

  async delete(name: string): Promise<void> {
    await this.request({ method: 'DELETE', path: `${machinesPath}/${name}` });
  }

  async patch(name: string, body: object): Promise<void> {
    const contentType = 'application/merge-patch+json';
    await this.request({ method: 'PATCH', path: `${machinesPath}/${name}`, contentType, body });
  }

  async get(name: string): Promise<VirtualMachine | undefined> {
    const outcome = await this.http.request({ method: 'GET', path: `${machinesPath}/${name}` });
    return outcome.ok ? parsed(outcome.value) : undefined;
  }

  async list(): Promise<readonly VirtualMachine[]> {
    const { items } = listed.parse(await this.request({ method: 'GET', path: machinesPath }));
    return items.map(parsed);
  }

  async host(name: string) {
    const outcome = await this.http.request({
      method: 'GET',
      path: `${hostsPath}/${name}`,
    });
    return outcome.ok ? parseHost(outcome.value) : undefined;
  }

  async events(uid: string): Promise<readonly Event[]> {
    const answer = events.parse(
      await this.request({ method: 'GET', path: '/apis/events.k8s.io/v1/namespaces/default/events' }),
    );
    return answer.items.filter(({ regarding }) => regarding.uid === uid);
  }

  /** Waits for Ready to have this status. Returns the object. */
  async untilReady(name: string, status = 'True'): Promise<VirtualMachine> {
    return this.untilObject(name, (object) => readyOf(object)?.status === status);
  }

  async untilObject(name: string, condition: (object: VirtualMachine) => boolean): Promise<VirtualMachine> {
    let last: VirtualMachine | undefined;
    await until(async () => {
      last = await this.get(name);
      return last !== undefined && condition(last);
    });
    if (last === undefined) throw new Error('unreachable');
    return last;
  }

  async untilGone(name: string): Promise<void> {
    await until(async () => (await this.get(name)) === undefined);
  }
}

/** Time passes `factor` times as fast, so that a minute's absence takes seconds. */
export function fasterClock(factor: number): Clock {
  const start = Date.now();
  return {
    now: () => start + (Date.now() - start) * factor,
    after: (milliseconds, task) => systemClock.after(milliseconds / factor, task),
  };
}

export const hostsPath = `/apis/${apiVersion}/linuxutilityvmhosts`;
export const machinesPath = `/apis/${apiVersion}/namespaces/default/linuxutilityvms`;

const listed = z.object({ items: z.array(z.unknown()) });
const event = z.object({
  reason: z.string(),
  type: z.string(),
  note: z.string(),
  reportingController: z.string(),
  regarding: z.object({ uid: z.string().default('') }),
});
const events = z.object({ items: z.array(event) });
type Event = z.infer<typeof event>;

export function readyOf(object: VirtualMachine) {
  return object.status.conditions?.find(({ type }) => type === 'Ready');
}

export async function until(condition: () => boolean | Promise<boolean>, timeout = 30_000): Promise<void> {
  await expect.poll(condition, { timeout, interval: 20 }).toBe(true);
}

function parsed(raw: unknown): VirtualMachine {
  const object = parseVirtualMachine(raw);
  if (object === undefined) throw new Error('no LinuxUtilityVM');
  return object;
}
