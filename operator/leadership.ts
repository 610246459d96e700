// Everything that belongs to one term of leadership: controllers, the agents' sessions, and a connection to the API
// server that ends with the term. None of it outlives the term, so pending work of an earlier term can never write in a
// later one.
import type { Logger } from 'pino';
import type { Clock, Random, RandomUUID } from '../runtime/clock.ts';
import type { AgentService } from './agents/door.ts';
import { Sessions } from './agents/sessions.ts';
import { Controllers } from './controller/controllers.ts';
import type { Restoration } from './controller/knowledge/restoration.ts';
import { Uninstallation, type UninstallHook } from './controller/knowledge/uninstallation.ts';
import { type Caches, clientsOver } from './kubernetes/caches.ts';
import type { ClusterAccess } from './kubernetes/cluster-access.ts';
import { KubeHttp } from './kubernetes/http.ts';
import type { Term } from './kubernetes/lease.ts';
import type { Metrics } from './metrics/metrics.ts';

export interface LeadershipOptions {
  readonly access: ClusterAccess;
  readonly caches: Caches;
  readonly metrics: Metrics;
  readonly restoration: Restoration;
  readonly uninstallHook?: UninstallHook | undefined;
  readonly heartbeatSeconds: number;
  readonly version: string;
  readonly replica: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomUUID: RandomUUID;
  readonly logger: Logger;
}

export class Leadership {
  readonly controllers: Controllers;
  readonly service: AgentService;
  readonly #term: Term;

  constructor(options: LeadershipOptions, term: Term) {
    const { access, caches, metrics, restoration, heartbeatSeconds, version, replica } = options;
    const { clock, random, randomUUID, logger } = options;
    this.#term = term;
    const mayWrite = () => term.mayWrite;
    const onResult = metrics.request.bind(metrics);
    const http = new KubeHttp({ access, clock, random, version, replica, onResult, mayWrite });
    const sessions = new Sessions(
      {
        live: (nodeName) => this.controllers.triggers.live(nodeName),
        ended: (nodeName) => this.controllers.triggers.ended(nodeName),
      },
      mayWrite,
    );
    const clients = clientsOver(http);
    const uninstallation = new Uninstallation({ http, clock, random, observer: metrics, hook: options.uninstallHook });
    const shared = {
      http,
      caches,
      clients,
      observer: metrics,
      restoration,
      clock,
      random,
      randomUUID,
      replica,
      logger,
    };
    const { othersEndedBy } = term;
    this.controllers = new Controllers({ ...shared, uninstallation, agents: sessions, othersEndedBy });
    const { inventory, hosts } = this.controllers;
    this.service = {
      ports: {
        clock,
        logger,
        observer: metrics,
        inventory,
        replica,
        heartbeatSeconds,
        accept: (nodeName, introduction) => hosts.accept(nodeName, introduction),
        networks: (nodeName, network) => this.controllers.tellNetworks(nodeName, network),
        desired: (nodeName) => this.controllers.desired(nodeName),
      },
      sessions,
    };
  }

  get mayWrite(): boolean {
    return this.#term.mayWrite;
  }

  start(): void {
    this.controllers.start();
  }

  /** Writes that were refused while the term was suspended are done now. */
  resume(): void {
    this.controllers.resync();
  }

  /** Writes that are under way finish first. */
  stop(): Promise<void> {
    return this.controllers.stop();
  }
}
