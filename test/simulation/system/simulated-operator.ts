// One replica of the operator, as its Deployment keeps it: when its process ends, another one begins.
import type { Logger } from 'pino';
import { TokenReviews } from '../../../operator/agents/token-review.ts';
import type { ClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { defaultLeaseTimes, LeaseElection } from '../../../operator/kubernetes/lease.ts';
import { LeaseClient } from '../../../operator/kubernetes/lease-client.ts';
import { Operator, unfinishedAnnotation } from '../../../operator/operator.ts';
import type { Fate } from '../fates.ts';
import type { SimulatedNetwork } from '../network/network.ts';
import { Process } from '../process.ts';
import type { World } from '../world.ts';
import { agentUserName } from './tokens.ts';

export interface OperatorSurroundings {
  readonly world: World;
  readonly network: SimulatedNetwork;
  readonly accessFor: (process: Process) => ClusterAccess;
  readonly loggerOf: (process: string) => Logger;
  /** Of its processes. */
  readonly fate: (strike: () => void) => Fate | undefined;
  /** How often a standby looks at the Lease, in milliseconds. */
  readonly look: number;
}

const version = '0.1.0';
const namespace = 'lcow-system';
const heartbeatSeconds = 10;
/** How long the kubelet waits before it begins an ended container again. */
const restartMilliseconds = 10_000;

export class SimulatedOperator {
  readonly name: string;
  readonly #surroundings: OperatorSurroundings;
  #number = 0;
  #process: Process | undefined;
  #operator: Operator | undefined;
  /** What the replica's clock shows beyond the true time, in milliseconds. */
  skew = 0;

  constructor(name: string, surroundings: OperatorSurroundings) {
    this.name = name;
    this.#surroundings = surroundings;
  }

  get process(): Process | undefined {
    return this.#process;
  }

  get leads(): boolean {
    return this.#process?.isAlive === true && this.#operator?.leads === true;
  }

  /** Has no effect while a process runs. */
  start(): void {
    if (this.#process?.isAlive === true) return;
    this.#number += 1;
    const { accessFor, fate, look, loggerOf, network, world } = this.#surroundings;
    const process = new Process(
      world,
      `${this.name}.${this.#number}`,
      () => this.skew,
      fate(() => this.#dieInCall()),
    );
    world.note(`${process.name} starts`);
    this.#process = process;
    const { clock, name: replica } = process;
    const chance = world.chance(replica);
    const random = chance.number;
    const logger = loggerOf(replica);
    const way = () => new KubeHttp({ access: accessFor(process), clock, random, version, replica });
    const annotations = () => ({
      [unfinishedAnnotation]: String(operator.unfinished),
      ...operator.restoration.annotations(),
    });
    const seen = (found: Readonly<Record<string, string>> | undefined) => operator.restoration.seen(found);
    const lease = { clock, namespace, name: 'lcow-operator', annotations, seen };
    const operator: Operator = new Operator({
      access: accessFor(process),
      election: new LeaseElection({
        client: new LeaseClient({ ...lease, http: way() }),
        clock,
        random,
        monotonic: () => world.elapsed,
        identity: replica,
        times: { ...defaultLeaseTimes, look },
        hasPredecessors: () => operator.unfinished > 0,
      }),
      authenticator: new TokenReviews({ http: way(), clock, userName: agentUserName }),
      certificates: undefined,
      bindAddress: '',
      agents: network.listener(process),
      healthPort: undefined,
      heartbeatSeconds,
      version,
      replica,
      clock,
      random,
      randomUUID: () => chance.uuid(),
      logger,
    });
    this.#operator = operator;
    operator.start().catch((error: unknown) => world.fail(error));
  }

  /** The kubelet begins the container again. */
  #dieInCall(): void {
    this.crash();
    this.#surroundings.world.after(restartMilliseconds, `kubelet of ${this.name}`, () => this.start());
  }

  crash(): void {
    if (this.#process?.isAlive !== true) return;
    this.#surroundings.world.note(`${this.#process.name} crashes`);
    this.#process.die();
  }

  /** Ends as on SIGTERM. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process?.isAlive !== true) return;
    this.#surroundings.world.note(`${process.name} stops`);
    await this.#operator?.stop();
    process.die();
  }
}
