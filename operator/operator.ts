// The operator put together: watches on one side, agents on the other, controllers between them.
import type { Logger } from 'pino';
import type { Clock, Random } from '../protocol/clock.ts';
import type { AgentAuthenticator } from './agents/authentication.ts';
import { AgentServer, type AgentServerOptions } from './agents/server.ts';
import { Sessions } from './agents/sessions.ts';
import { Caches } from './caches.ts';
import { Controllers } from './controllers.ts';
import { HealthServer } from './health.ts';
import type { ClusterAccess } from './kubernetes/cluster-access.ts';
import { KubeHttp } from './kubernetes/http.ts';
import { Metrics } from './metrics.ts';

export interface OperatorOptions {
  readonly access: ClusterAccess;
  readonly authenticator: AgentAuthenticator;
  readonly tls: AgentServerOptions['tls'];
  readonly bindAddress: string;
  readonly agentsPort: number;
  readonly healthPort: number;
  readonly heartbeatSeconds: number;
  readonly version: string;
  /** Names this process among all operators that ever ran. */
  readonly replica: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface OperatorPorts {
  readonly agents: number;
  readonly health: number;
}

export class Operator {
  readonly metrics: Metrics;
  readonly #options: OperatorOptions;
  readonly #caches: Caches;
  readonly #controllers: Controllers;
  readonly #agentServer: AgentServer;
  readonly #healthServer: HealthServer;
  #stopped = false;

  constructor(options: OperatorOptions) {
    const { access, clock, random, version, replica, logger } = options;
    this.#options = options;
    const metrics = new Metrics(logger, version, {
      virtualMachines: () => this.#controllers.machines.all(),
      sessions: () => sessions.count,
      queueDepths: () => this.#controllers.queueDepths,
    });
    const onResult = metrics.request.bind(metrics);
    const http = new KubeHttp({ access, clock, random, version, onResult });
    const sessions = new Sessions({
      live: (nodeName) => this.#controllers.triggers.live(nodeName),
      ended: (nodeName) => this.#controllers.triggers.ended(nodeName),
    });
    this.metrics = metrics;
    this.#caches = new Caches({ http, clock, random, observer: metrics });
    this.#controllers = new Controllers({
      http,
      caches: this.#caches,
      agents: sessions,
      metrics,
      clock,
      random,
      replica,
    });
    this.#agentServer = this.#createAgentServer(sessions);
    this.#healthServer = new HealthServer({
      registry: metrics.registry,
      bindAddress: options.bindAddress,
      port: options.healthPort,
      notReady: () => this.#notReady(),
    });
  }

  /** Resolves when both servers listen; agents are taken in once the objects are known. */
  async start(): Promise<OperatorPorts> {
    const health = await this.#healthServer.listen();
    const agents = await this.#agentServer.listen();
    const { logger, replica, version } = this.#options;
    logger.info({ replica, version, agents: agents.port, health: health.port }, 'listening');
    void this.#caches.start().then(() => {
      if (!this.#stopped) this.#controllers.triggers.started();
    });
    return { agents: agents.port, health: health.port };
  }

  /** Agents are told to dial again; what is being written is finished. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#agentServer.close();
    await this.#controllers.stop();
    await this.#caches.stop();
    await this.#healthServer.close();
  }

  #notReady(): string | undefined {
    const { missing } = this.#caches;
    return missing.length === 0 ? undefined : `not listed yet: ${missing.join(', ')}`;
  }

  #createAgentServer(sessions: Sessions): AgentServer {
    const { clock, logger, replica, heartbeatSeconds, authenticator, tls, bindAddress, agentsPort } = this.#options;
    const { inventory, hosts } = this.#controllers;
    return new AgentServer({
      ports: {
        clock,
        logger,
        observer: this.metrics,
        inventory,
        replica,
        heartbeatSeconds,
        accept: (nodeName, introduction) => hosts.accept(nodeName, introduction),
        desired: (nodeName) => this.#controllers.desired(nodeName),
      },
      sessions,
      authenticator,
      tls,
      bindAddress,
      port: agentsPort,
      ready: () => this.#notReady() === undefined,
    });
  }
}
