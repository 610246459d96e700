// The flags by which both programs serve /metrics to the network. Metrics name the VMs of all tenants, so a reader must
// identify itself unless the user says otherwise, and the program refuses flags that would protect nothing.
import { InvalidArgumentError, Option } from 'commander';
import type { MetricsFiles } from './files.ts';

export interface MetricsFlags {
  readonly metricsPort?: number;
  readonly metricsCertificate?: string;
  readonly metricsKey?: string;
  readonly metricsClientCa?: string;
  readonly metricsTokenFile?: string;
  readonly metricsAnonymous?: true;
}

/** Where /metrics is served to the network. */
export interface MetricsSettings {
  readonly port: number;
  /** Without TLS: plain HTTP. */
  readonly files: MetricsFiles;
}

/** New ones for each command: a command keeps its options. */
export function metricsOptions(): readonly Option[] {
  return [
    new Option(
      '--metrics-port <port>',
      'port for /metrics alone, for readers on the network (default: none)',
    ).argParser(portNumber),
    new Option('--metrics-certificate <file>', 'certificate of that port, PEM; read again when it changes'),
    new Option('--metrics-key <file>', 'key of that certificate, PEM'),
    new Option('--metrics-client-ca <file>', 'CA whose clients may read metrics, PEM'),
    new Option('--metrics-token-file <file>', 'file with the bearer token that readers of metrics must present'),
    new Option('--metrics-anonymous', 'let anyone who reaches the port read metrics; without a certificate, over HTTP'),
  ];
}

/** Undefined: metrics are not served to the network. Throws if the flags make no sense together. */
export function metricsSettings(flags: MetricsFlags): MetricsSettings | undefined {
  const problem = problemOf(flags);
  if (problem !== undefined) throw new Error(problem);
  const { metricsPort: port, metricsCertificate: certificate, metricsKey: key, metricsTokenFile: token } = flags;
  if (port === undefined) return undefined;
  const clientAuthority = flags.metricsClientCa;
  const tls = certificate === undefined || key === undefined ? undefined : { certificate, key, clientAuthority };
  return { port, files: { tls, token } };
}

function problemOf(flags: MetricsFlags): string | undefined {
  const { metricsPort, metricsCertificate, metricsKey, metricsClientCa, metricsTokenFile, metricsAnonymous } = flags;
  const [hasTLS, hasReaders] = [metricsCertificate !== undefined, Boolean(metricsClientCa ?? metricsTokenFile)];
  if (hasTLS !== (metricsKey !== undefined)) return '--metrics-certificate and --metrics-key belong together';
  if (metricsPort === undefined) {
    return hasTLS || hasReaders || metricsAnonymous ? 'the flags of metrics need --metrics-port' : undefined;
  }
  if (!hasReaders && !metricsAnonymous) {
    return '--metrics-port needs readers: give --metrics-client-ca, --metrics-token-file or --metrics-anonymous';
  }
  if (!hasReaders) return undefined;
  if (metricsAnonymous) return '--metrics-anonymous contradicts --metrics-client-ca and --metrics-token-file';
  return hasTLS
    ? undefined
    : '--metrics-client-ca and --metrics-token-file need --metrics-certificate and --metrics-key';
}

function portNumber(given: string): number {
  const port = Number(given);
  if (given.trim() === '' || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError('must be a port from 0 to 65535');
  }
  return port;
}
