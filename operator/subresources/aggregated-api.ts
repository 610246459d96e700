// The whole aggregated API: its server, the front proxy that it trusts, and the APIService that receives the authority
// of its certificate.
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { AgentService } from '../agents/door.ts';
import type { KeyPair } from '../certificates/authority.ts';
import type { KubeHttp } from '../kubernetes/http.ts';
import type { LeaseStore } from '../kubernetes/lease-client.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import { AccessReviews } from './access-reviews.ts';
import { ApiServiceTrust } from './api-service.ts';
import { FrontProxy } from './front-proxy.ts';
import { LeaderAddress } from './leader-address.ts';
import { MachineRequests } from './machine-requests.ts';
import { MachineStreams } from './machine-streams.ts';
import { ApiServer } from './server.ts';
import type { StreamCounts } from './stream-counts.ts';

export interface AggregatedApiSettings {
  readonly port: number;
  readonly lease: LeaseStore;
  /** Name of the APIService whose `caBundle` is maintained. */
  readonly apiService?: string;
}

export interface AggregatedApiPorts {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly bindAddress: string | undefined;
  readonly replica: string;
  /** Undefined while this replica does not lead. */
  readonly service: () => AgentService | undefined;
  readonly machine: (key: string) => VirtualMachine | undefined;
  readonly counts: StreamCounts;
}

export class AggregatedApi {
  readonly #logger: Logger;
  readonly #server: ApiServer;
  readonly #frontProxy: FrontProxy;
  readonly #apiService: ApiServiceTrust | undefined;
  /** The problem that was logged last, so that it is logged once. */
  #problem = '';

  constructor({ apiService: name, lease, port }: AggregatedApiSettings, ports: AggregatedApiPorts) {
    const { bindAddress, clock, counts, http, logger, machine, random, replica, service } = ports;
    const failed = (message: string) => this.#failed(message);
    this.#logger = logger;
    this.#frontProxy = new FrontProxy({ http, clock, random });
    this.#apiService = name === undefined ? undefined : new ApiServiceTrust({ http, clock, random, name, failed });
    const streams = new MachineStreams({
      clock,
      counts,
      machine,
      session: (nodeName) => service()?.sessions.of(nodeName),
    });
    const reviews = new AccessReviews({
      http,
      clock,
      failed: (error) => logger.warn({ error }, 'the rights of a user could not be reviewed'),
    });
    this.#server = new ApiServer({
      clock,
      logger,
      bindAddress,
      port,
      frontProxy: this.#frontProxy,
      requests: new MachineRequests({ clock, logger, streams, reviews }),
      leads: () => service() !== undefined,
      leader: new LeaderAddress(lease, replica),
    });
  }

  async listen(): Promise<AddressInfo> {
    const address = await this.#server.listen();
    this.#frontProxy.start({
      trusts: () => this.#server.trustFrontProxy(),
      failed: (message) => this.#failed(message),
    });
    return address;
  }

  useCertificate(certificate: KeyPair): void {
    this.#server.useCertificate(certificate);
  }

  /** @param bundle PEM of the authorities that sign the serving certificate */
  trust(bundle: string): void {
    this.#apiService?.trust(bundle);
  }

  async close(): Promise<void> {
    await this.#server.close();
    await Promise.all([this.#frontProxy.stop(), this.#apiService?.stop()]);
  }

  #failed(message: string): void {
    if (message !== this.#problem) this.#logger.error({ error: message }, 'the aggregated API cannot be served');
    this.#problem = message;
  }
}
