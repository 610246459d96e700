#!/usr/bin/env node
// lcow-operator: command line and process.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { systemClock } from '../protocol/clock.ts';
import { StaticTokens } from './agents/authentication.ts';
import type { AgentServerOptions } from './agents/server.ts';
import { type ClusterAccess, loadClusterAccess } from './kubernetes/cluster-access.ts';
import { KubeHttp } from './kubernetes/http.ts';
import { LeaseElection } from './kubernetes/lease.ts';
import { LeaseClient } from './kubernetes/lease-client.ts';
import { logContext } from './log-context.ts';
import { Operator } from './operator.ts';

interface Flags {
  readonly kubeconfig?: string;
  readonly namespace: string;
  readonly agentsPort: number;
  readonly healthPort: number;
  readonly agentTokens: string;
  readonly tlsCertificate?: string;
  readonly tlsKey?: string;
  readonly bindAddress: string;
  readonly logLevel: string;
  readonly heartbeatSeconds: number;
}

/** Within the 30 s that a pod is given. */
const stopMilliseconds = 20_000;
const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

const command = new Command('lcow-operator')
  .description('Runs LinuxUtilityVMs on Windows nodes: watches the resources, places them, and tells the agents.')
  .version(packageJson.version)
  .option('--kubeconfig <file>', 'how to reach the API server (default: KUBECONFIG, ~/.kube/config, or the pod)')
  .option('--namespace <name>', 'where the Lease of the leader is kept (default: that of the pod)', podNamespace())
  .option('--agents-port <port>', 'port for agents; 0 takes any', integer(0, 65_535), 8443)
  .option('--health-port <port>', 'port for /metrics, /healthz and /readyz; 0 takes any', integer(0, 65_535), 8080)
  .requiredOption('--agent-tokens <file>', 'YAML or JSON file that maps the token of each agent to its node')
  .option('--tls-certificate <file>', 'serving certificate for agents, PEM')
  .option('--tls-key <file>', 'its key, PEM')
  .option('--bind-address <address>', 'address to listen on; on a loopback address TLS may be left out', '0.0.0.0')
  .addOption(
    new Option('--log-level <level>', 'least severe lines to log')
      .choices(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info'),
  )
  .option('--heartbeat-seconds <seconds>', 'how often agents are pinged', number(0.05, 300), 10);

try {
  await run(command.parse().opts<Flags>());
} catch (error) {
  // A file that cannot be read, a port that is taken: for whoever started it, not a stack.
  command.error(`lcow-operator: ${error instanceof Error ? error.message : String(error)}`);
}

async function run(flags: Flags): Promise<void> {
  const logger = pino({ level: flags.logLevel, base: {}, timestamp: pino.stdTimeFunctions.isoTime, mixin: logContext });
  const access = loadClusterAccess(flags.kubeconfig, systemClock);
  const replica = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const operator = new Operator({
    access,
    election: leaseElection(access, replica, flags),
    authenticator: new StaticTokens(flags.agentTokens),
    tls: serving(flags),
    bindAddress: flags.bindAddress,
    agentsPort: flags.agentsPort,
    healthPort: flags.healthPort,
    heartbeatSeconds: flags.heartbeatSeconds,
    version: packageJson.version,
    replica,
    clock: systemClock,
    random: Math.random,
    logger,
  });
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(1);
    stopping = true;
    logger.info({ signal }, 'stopping');
    systemClock.after(stopMilliseconds, () => process.exit(1));
    void operator.stop().then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  await operator.start();
}

function leaseElection(access: ClusterAccess, replica: string, { namespace }: Flags): LeaseElection {
  const clock = systemClock;
  const random = Math.random;
  const http = new KubeHttp({ access, clock, random, version: packageJson.version, replica });
  const client = new LeaseClient({ http, clock, namespace, name: 'lcow-operator' });
  return new LeaseElection({ client, clock, random, monotonic: () => performance.now(), identity: replica });
}

/** As the kubelet mounts it. */
function podNamespace(): string {
  try {
    return readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8').trim();
  } catch {
    return 'default';
  }
}

function serving({ tlsCertificate, tlsKey, bindAddress }: Flags): AgentServerOptions['tls'] {
  if (tlsCertificate !== undefined && tlsKey !== undefined) {
    return { certificate: readFileSync(tlsCertificate), key: readFileSync(tlsKey) };
  }
  if (tlsCertificate !== undefined || tlsKey !== undefined) {
    command.error('--tls-certificate and --tls-key belong together');
  }
  if (!loopback.test(bindAddress)) {
    command.error('agents need TLS: give --tls-certificate and --tls-key, or a loopback --bind-address');
  }
  return undefined;
}

function integer(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = number(minimum, maximum)(text);
    if (!Number.isInteger(value)) throw new InvalidArgumentError('must be a whole number');
    return value;
  };
}

function number(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= minimum && value <= maximum)) {
      throw new InvalidArgumentError(`must be a number from ${minimum} to ${maximum}`);
    }
    return value;
  };
}
