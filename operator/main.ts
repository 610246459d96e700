#!/usr/bin/env node
// lcow-operator: the command line and the process.
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import packageJson from '../package.json' with { type: 'json' };
import { systemClock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/error-text.ts';
import { plainLogger } from '../runtime/log-lines.ts';
import { type MetricsFlags, metricsOptions, metricsSettings } from '../runtime/metrics/flags.ts';
import { AgentServer } from './agents/server.ts';
import { logContext } from './controller/log-context.ts';
import { authenticatorOf, certificatesOf, type IdentityFlags, identityProblem } from './identity.ts';
import { loadClusterAccess } from './kubernetes/cluster-access.ts';
import { KubeHttp } from './kubernetes/http.ts';
import { LeaseElection } from './kubernetes/lease.ts';
import { LeaseClient } from './kubernetes/lease-client.ts';
import { returnMemory } from './memory.ts';
import { Operator, unfinishedAnnotation } from './operator.ts';
import { advertisedAddress, apiAddressAnnotation } from './subresources/leader-address.ts';
import { type TraceFlags, traceOptions, traceSettings } from './traces/flags.ts';
import { HttpCollector } from './traces/http-collector.ts';

interface Flags extends IdentityFlags, MetricsFlags, TraceFlags {
  readonly kubeconfig?: string;
  readonly agentsPort: number;
  readonly healthPort: number;
  readonly apiPort: number;
  readonly uninstallHook?: string;
  readonly logLevel: string;
  readonly heartbeatSeconds: number;
}

/** Less than the 30 s that a pod has to stop. */
const stopMilliseconds = 20_000;

const command = new Command('lcow-operator')
  .description('Runs LinuxUtilityVMs on Windows nodes: watches the resources, places the VMs, and directs the agents.')
  .version(packageJson.version)
  .option(
    '--kubeconfig <file>',
    'kubeconfig for the API server (default: KUBECONFIG, ~/.kube/config, or the pod’s service account)',
  )
  .option(
    '--namespace <name>',
    'namespace of the operator’s Lease, Secret and ConfigMap (in a pod: the pod’s namespace)',
    podNamespace(),
  )
  .option('--agents-port <port>', 'port for agents; 0 means any free port', integer(0, 65_535), 8443)
  .option(
    '--health-port <port>',
    'port for /metrics, /healthz and /readyz; 0 means any free port',
    integer(0, 65_535),
    8080,
  )
  .option(
    '--api-port <port>',
    'port of the aggregated API subresources.lcow.dev; 0 turns it off',
    integer(0, 65_535),
    8444,
  )
  .option(
    '--api-service <name>',
    'APIService into which the operator writes the CA of that port, v1alpha1.subresources.lcow.dev',
  )
  .option(
    '--uninstall-hook <name>',
    'ConfigMap whose creation announces that the operator is uninstalled; hosts then say that nobody knows of their agents',
  )
  .option(
    '--agent-service-account <name>',
    'service account of the agents, [namespace/]name; the API server reviews their tokens',
    'lcow-agent',
  )
  .option(
    '--agent-tokens <file>',
    'for development, instead of token reviews: YAML or JSON file that maps tokens to node names',
  )
  .option('--serving-name <name...>', 'additional names and addresses of the operator, for its certificate', [])
  .option(
    '--tls-certificate <file>',
    'serving certificate for agents, PEM (default: one from the operator’s own authority)',
  )
  .option('--tls-key <file>', 'key of the serving certificate, PEM')
  .option(
    '--bind-address <address>',
    'address to listen on; a loopback address needs no TLS (default: all addresses, IPv6 and IPv4)',
  )
  .addOption(
    new Option('--log-level <level>', 'lowest severity of log lines')
      .choices(['debug', 'info', 'warn', 'error', 'silent'])
      .default('info'),
  )
  .option('--heartbeat-seconds <seconds>', 'interval between pings of an agent', number(0.05, 300), 10);
for (const option of [...metricsOptions(), ...traceOptions()]) command.addOption(option);

try {
  await run(command.parse().opts<Flags>());
} catch (error) {
  // A user needs no stack for an unreadable file or a port in use.
  command.error(`lcow-operator: ${messageOf(error)}`);
}

async function run(flags: Flags): Promise<void> {
  // Joins many lines into one write. No line waits longer than this, and none is lost when the process ends normally.
  const output = pino.destination({ dest: 1, sync: false, minLength: 8_192, periodicFlush: 200 });
  const logger = plainLogger(
    { level: flags.logLevel, base: {}, timestamp: pino.stdTimeFunctions.isoTime, mixin: logContext },
    output,
  );
  const problem = identityProblem(flags);
  if (problem !== undefined) command.error(problem);
  const networkMetrics = metricsSettings(flags);
  const traces = traceSettings(flags);
  const [clock, random, version] = [systemClock, Math.random, packageJson.version];
  const access = loadClusterAccess(flags.kubeconfig, clock);
  const replica = `${hostname()}-${randomUUID().slice(0, 8)}`;
  const way = () =>
    new KubeHttp({ access: loadClusterAccess(flags.kubeconfig, clock), clock, random, version, replica });
  const { apiPort: port, apiService, bindAddress, namespace } = flags;
  const apiAddress = port === 0 ? {} : { [apiAddressAnnotation]: advertisedAddress(bindAddress, port) };
  const annotations = () => ({
    ...apiAddress,
    [unfinishedAnnotation]: String(operator.unfinished),
    ...operator.restoration.annotations(),
  });
  // The Lease and the requests of strangers use separate connections, so that neither waits for other requests.
  const [leaseWay, identityWay] = [way(), way()];
  const seen = (found: Readonly<Record<string, string>> | undefined) => operator.restoration.seen(found);
  const lease = { clock, namespace, name: 'lcow-operator', annotations, seen };
  const certificates = certificatesOf(flags, { http: identityWay, clock, random });
  const operator = new Operator({
    access,
    election: new LeaseElection({
      client: new LeaseClient({ ...lease, http: leaseWay }),
      clock,
      random,
      monotonic: () => performance.now(),
      identity: replica,
      hasPredecessors: () => operator.unfinished > 0,
    }),
    authenticator: authenticatorOf(flags, { http: identityWay, clock, logger }),
    certificates,
    bindAddress,
    api:
      port === 0
        ? undefined
        : { port, lease: new LeaseClient({ ...lease, http: identityWay }), ...(apiService && { apiService }) },
    agents: (door) =>
      new AgentServer({ door, clock, logger, bindAddress, port: flags.agentsPort, tls: certificates !== undefined }),
    healthPort: flags.healthPort,
    networkMetrics,
    collector: traces && new HttpCollector(traces),
    uninstallHook: flags.uninstallHook === undefined ? undefined : { namespace, name: flags.uninstallHook },
    heartbeatSeconds: flags.heartbeatSeconds,
    returnMemory,
    version,
    replica,
    clock,
    random,
    randomUUID,
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
  operator.metrics.collectProcessMetrics();
  await operator.start();
}

/** The namespace file that the kubelet mounts. */
function podNamespace(): string {
  try {
    return readFileSync('/var/run/secrets/kubernetes.io/serviceaccount/namespace', 'utf8').trim();
  } catch {
    return 'default';
  }
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
