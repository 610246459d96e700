// The whole operator: a warm cache and two servers for the life of the process, and a term of leadership while this
// replica leads (design §6).
import type { Logger } from 'pino';
import { finalizer } from '../crds/linux-utility-vm.ts';
import type { Clock, Random, RandomUUID } from '../runtime/clock.ts';
import type { ServingCertificate } from '../runtime/connections/guarded-server.ts';
import type { MetricsSettings } from '../runtime/metrics/flags.ts';
import type { MetricsText } from '../runtime/metrics/recent-text.ts';
import { MetricsServer } from '../runtime/metrics/server.ts';
import type { AgentAuthenticator } from './agents/authentication.ts';
import { AgentDoor } from './agents/door.ts';
import type { CertificateSource } from './certificates/source.ts';
import { Restoration } from './controller/knowledge/restoration.ts';
import type { UninstallHook } from './controller/knowledge/uninstallation.ts';
import { Caches } from './kubernetes/caches.ts';
import type { ClusterAccess } from './kubernetes/cluster-access.ts';
import { KubeHttp } from './kubernetes/http.ts';
import type { Election, Term } from './kubernetes/lease.ts';
import { Leadership } from './leadership.ts';
import { HealthServer } from './metrics/health.ts';
import { Metrics } from './metrics/metrics.ts';
import { AggregatedApi, type AggregatedApiSettings } from './subresources/aggregated-api.ts';
import { StreamCounts } from './subresources/stream-counts.ts';
import { type Collector, TraceExporter } from './traces/exporter.ts';

export interface AgentListener {
  listen(): Promise<{ readonly port: number }>;
  /** Applies to new connections. */
  useCertificate(certificate: ServingCertificate): void;
  /** Asks every agent to connect again, and resolves when none is connected. */
  close(): Promise<void>;
}

export interface OperatorOptions {
  readonly access: ClusterAccess;
  readonly election: Election;
  readonly authenticator: AgentAuthenticator;
  /** Undefined: no TLS for agents, for loopback only. */
  readonly certificates: CertificateSource | undefined;
  /** Undefined: all addresses, IPv6 and IPv4. */
  readonly bindAddress: string | undefined;
  /** What carries the agents' connections to the door. */
  readonly agents: (door: AgentDoor) => AgentListener;
  /** Undefined: no probes. */
  readonly healthPort: number | undefined;
  /** Metrics on a port of their own instead of the one for health. */
  readonly networkMetrics?: MetricsSettings | undefined;
  /** Where traces go. Undefined: there are none. */
  readonly collector?: Collector | undefined;
  /** Undefined: no aggregated API. It needs certificates. */
  readonly api?: AggregatedApiSettings | undefined;
  /** Announces that the operator is being uninstalled. */
  readonly uninstallHook?: UninstallHook | undefined;
  readonly heartbeatSeconds: number;
  readonly version: string;
  /** Identifies this process among all operators that ever ran. */
  readonly replica: string;
  /** Called when much memory was used for a while, and a pause does no harm. */
  readonly returnMemory?: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomUUID: RandomUUID;
  readonly logger: Logger;
}

/** Annotation of the Lease: how many objects have our finalizer. The chart's uninstall guard reads it. */
export const unfinishedAnnotation = 'lcow.dev/virtual-machines';

export interface OperatorPorts {
  readonly agents: number;
  readonly health?: number;
  readonly metrics?: number;
  readonly api?: number;
}

export class Operator {
  readonly metrics: Metrics;
  /** Outlives terms, like the annotation of the Lease that it reads and writes. */
  readonly restoration: Restoration;
  readonly #options: OperatorOptions;
  readonly #streams = new StreamCounts();
  readonly #caches: Caches;
  readonly #door: AgentDoor;
  readonly #listener: AgentListener;
  readonly #healthServer: HealthServer | undefined;
  readonly #metricsServer: MetricsServer | undefined;
  readonly #api: AggregatedApi | undefined;
  readonly #traces: TraceExporter | undefined;
  #leadership: Leadership | undefined;
  /** Terms that have ended and still have work under way. */
  readonly #yielding = new Set<Promise<void>>();
  #stopped = false;

  constructor(options: OperatorOptions) {
    const { access, clock, random, version, replica, logger, authenticator } = options;
    this.#options = options;
    const metrics = this.#createMetrics();
    const onResult = metrics.request.bind(metrics);
    const http = new KubeHttp({ access, clock, random, version, replica, onResult, mayWrite: () => false });
    this.metrics = metrics;
    this.#traces = options.collector && this.#createTraces(options.collector);
    this.#caches = new Caches({ http, clock, random, observer: metrics });
    this.restoration = new Restoration(clock);
    this.#caches.machines.onChange((change) => {
      if (change.type !== 'Applied' || change.outranks !== 'All') return;
      this.restoration.suspect('the API server lists an older state than before');
    });
    this.#door = new AgentDoor({ clock, logger, service: () => this.#leadership?.service, authenticator });
    this.#listener = options.agents(this.#door);
    this.#api = options.certificates && options.api && this.#createApi(options.api);
    this.#healthServer = options.healthPort === undefined ? undefined : this.#createHealthServer(options.healthPort);
    this.#metricsServer = options.networkMetrics && this.#createMetricsServer(options.networkMetrics);
  }

  /** Whether this replica serves agents. */
  get leads(): boolean {
    return this.#leadership?.mayWrite ?? false;
  }

  /** The known VMs whose finalizer only this operator can remove. */
  get unfinished(): number {
    const machines = [...this.#caches.machines.values()];
    return machines.filter(({ metadata }) => metadata.finalizers?.includes(finalizer)).length;
  }

  /** Resolves when all servers listen. The replica becomes a candidate once it knows the objects. */
  async start(): Promise<OperatorPorts> {
    const health = await this.#healthServer?.listen();
    const agents = await this.#listener.listen();
    const api = await this.#api?.listen();
    const metrics = await this.#metricsServer?.start();
    const { logger, replica, version, certificates } = this.#options;
    certificates?.start({
      serving: (certificate) => {
        this.#listener.useCertificate(certificate);
        this.#api?.useCertificate(certificate);
      },
      trusted: (bundle) => this.#api?.trust(bundle),
      failed: (message) => this.metrics.certificatesFailed(message),
    });
    const ports = {
      agents: agents.port,
      ...(health && { health: health.port }),
      ...(api && { api: api.port }),
      ...(metrics && { metrics }),
    };
    logger.info({ replica, version, ...ports }, 'listening');
    void this.#caches.start().then(() => {
      if (this.#stopped) return;
      this.#options.returnMemory?.();
      this.#stand();
    });
    return ports;
  }

  /** Asks agents to connect again, finishes pending writes, then lets another replica lead. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#api?.close();
    await this.#listener.close();
    await Promise.all([this.#leadership?.stop(), ...this.#yielding]);
    await this.#options.election.stop();
    await this.#options.certificates?.stop();
    await this.#caches.stop();
    await this.#traces?.close();
    await this.#healthServer?.close();
    await this.#metricsServer?.close();
  }

  #stand(): void {
    const { logger, election } = this.#options;
    election.start({
      began: (term) => this.#lead(term),
      resumed: () => {
        logger.info('leads again');
        this.#leadership?.resume();
      },
      ended: () => this.#yield(),
      failed: (error) => this.metrics.leaseFailed(error),
    });
  }

  #lead(term: Term): void {
    if (this.#stopped) return;
    this.#options.logger.info({ replica: this.#options.replica }, 'leads');
    const { metrics, restoration } = this;
    const leadership = new Leadership({ ...this.#options, caches: this.#caches, metrics, restoration }, term);
    this.#leadership = leadership;
    leadership.start();
    void leadership.controllers.settled().then(() => {
      if (this.#leadership === leadership) this.#options.returnMemory?.();
    });
  }

  /** The pending work of the term can no longer do harm, and ends by itself. */
  #yield(): void {
    const leadership = this.#leadership;
    if (leadership === undefined) return;
    this.#leadership = undefined;
    this.#options.logger.warn('no longer leads');
    this.#door.dismiss('this replica no longer leads');
    const ended = leadership.stop().finally(() => this.#yielding.delete(ended));
    this.#yielding.add(ended);
  }

  #createHealthServer(port: number): HealthServer {
    const { bindAddress, clock, networkMetrics } = this.#options;
    const metrics = networkMetrics === undefined ? () => this.#metricsText() : undefined;
    return new HealthServer({ clock, bindAddress, port, metrics, notReady: () => this.#notReady() });
  }

  #createMetricsServer(settings: MetricsSettings): MetricsServer {
    const { bindAddress, clock, logger } = this.#options;
    const ports = { metrics: () => this.#metricsText(), failed: (message: string) => logger.warn(message) };
    return new MetricsServer({ ...settings, ...ports, clock, bindAddress });
  }

  async #metricsText(): Promise<MetricsText> {
    const { registry } = this.metrics;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  /** Uses a separate connection to the API server, because any replica may write what the aggregated API writes. */
  #createApi(settings: AggregatedApiSettings): AggregatedApi {
    const { access, clock, random, version, replica, logger, bindAddress } = this.#options;
    const onResult = this.metrics.request.bind(this.metrics);
    return new AggregatedApi(settings, {
      http: new KubeHttp({ access, clock, random, version, replica, onResult }),
      clock,
      random,
      logger,
      bindAddress,
      replica,
      service: () => this.#leadership?.service,
      machine: (key) => this.#caches.machines.get(key),
      counts: this.#streams,
    });
  }

  #notReady(): string | undefined {
    const { missing, unserved } = this.#caches;
    if (unserved.length > 0) {
      return `unknown to the API server: ${unserved.join(', ')}; see whether their CustomResourceDefinitions exist`;
    }
    return missing.length === 0 ? undefined : `not listed yet: ${missing.join(', ')}`;
  }

  #createMetrics(): Metrics {
    const { logger, clock, collector, version } = this.#options;
    const sources = {
      virtualMachines: () => this.#leadership?.controllers.machines.all() ?? [],
      sets: () => (this.leads ? this.#caches.sets.values() : []),
      sessions: () => this.#leadership?.service.sessions.count ?? 0,
      queueDepths: () => this.#leadership?.controllers.queueDepths ?? new Map(),
      leads: () => this.leads,
      streams: this.#streams,
    };
    return new Metrics(logger, clock, version, sources, collector && ((tree) => this.#traces?.add(tree)));
  }

  #createTraces(collector: Collector): TraceExporter {
    const { clock, random, randomUUID, replica, version } = this.#options;
    return new TraceExporter({ collector, observer: this.metrics.traces, clock, random, randomUUID, replica, version });
  }
}
