// `lcow-agent run`: the agent of a node, of any kind.
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { pino } from 'pino';
import { messageOf } from '../../runtime/error-text.ts';
import { plainLogger } from '../../runtime/log-lines.ts';
import {
  type MetricsFlags,
  type MetricsSettings,
  metricsOptions,
  metricsSettings,
} from '../../runtime/metrics/flags.ts';
import { type GuestLogSettings, runAgent } from '../agent.ts';
import { poolProblem } from '../bounds/pool-size.ts';
import { defaultTimeouts, fixedTimes } from '../bounds/timeouts.ts';
import type { LineDestination } from '../guest-log/output.ts';
import type { NodeAccess } from '../node/node.ts';
import { allowList } from '../preparation/allow-list.ts';
import { ownFolders, uselessRule } from '../preparation/own-folders.ts';
import { type ListenForShutdown, listenForStop } from '../stop-signals.ts';
import { allowedOptions, defaultStateDir, linesPerSecond, operatorUrl, portNumber, positiveSeconds } from './flags.ts';
import { realOutside } from './outside.ts';
import { version } from './version.ts';

/** Service managers take this exit code as "start me again": the agent is healthy, but its knowledge of HCS is void. */
const serviceLostExitCode = 75;

export interface RunSettings extends MetricsFlags {
  readonly operatorUrl: string;
  readonly tokenFile: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly stateFolder?: string;
  readonly bootTimeout: number;
  readonly healthPort?: number;
  readonly allowedPath: readonly string[];
  readonly allowedPipe: readonly string[];
  readonly allowedDevice: readonly string[];
  readonly allowedCpuGroup: readonly string[];
  readonly allowedResourcePartition: readonly string[];
  readonly guestLogRate: number;
  readonly guestOutputRate: number;
  readonly logLevel: string;
  readonly nodeName: string;
}

/** The kind of node that a program runs on, such as Windows or the simulator. */
export interface NodeKind<Settings extends RunSettings> {
  /** Flags of this kind only. */
  readonly options: readonly Option[];
  access(settings: Settings): NodeAccess;
  /** How the node ends the program, besides signals. */
  readonly listenForShutdown?: ListenForShutdown;
}

export function runCommand<Settings extends RunSettings>(
  kind: NodeKind<Settings>,
  exitWith: (code: number) => void,
): Command {
  const command = new Command('run')
    .description('run the agent of this node (the default command)')
    .requiredOption('--operator-url <url>', 'address of the operator, wss://<host>:8443/v1/agents', operatorUrl)
    .requiredOption(
      '--token-file <path>',
      'file with the token that proves which node this is; read before each connection',
    )
    .option('--ca-file <path>', 'file with the CA of the operator, the only one that the agent trusts (PEM)')
    .option('--state-dir <path>', 'state folder: journal, staged files, logs', defaultStateDir)
    .option('--state-folder <path>', 'the Windows path of the state folder, for documents')
    .option(
      '--boot-timeout <seconds>',
      'longest time from the start of a VM until its guest is up',
      positiveSeconds,
      120,
    )
    .option('--health-port <port>', 'loopback port for /healthz, /readyz and /metrics (default: none)', portNumber)
    .option('--guest-log-rate <lines>', 'most lines a second that a guest may log; 0 means no limit', linesPerSecond, 0)
    .option(
      '--guest-output-rate <lines>',
      'most lines a second of each guest on standard output, as JSON; 0 writes none',
      linesPerSecond,
      1_000,
    )
    .addOption(
      new Option('--log-level <level>', 'lowest severity of the agent’s own log lines')
        .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
        .default('info'),
    )
    .addOption(
      new Option('--node-name <name>', 'name of this node in Kubernetes, for log lines').default(
        hostname().toLowerCase(),
        'name of the computer',
      ),
    )
    .action(async (settings: Settings) => {
      exitWith(await run(settings, kind));
      endAnyway();
    });
  for (const option of [...metricsOptions(), ...kind.options, ...allowedOptions]) command.addOption(option);
  return command;
}

export function endAnyway(): void {
  setTimeout(() => process.exit(), fixedTimes.program.exit).unref();
}

/** After a quiet time, or at boot, this many seconds' worth of lines may come at once. */
const burstSeconds = 10;
/** Bytes that wait for a standard output that nobody reads. Beyond that, lines are lost. */
const maxOutputBytes = 8 << 20;

function guestLogSettings(
  { guestLogRate, guestOutputRate }: RunSettings,
  destination: LineDestination,
): GuestLogSettings {
  const rateOf = (lines: number) => ({ recordsPerSecond: lines, burst: burstSeconds * lines });
  return {
    rate: guestLogRate === 0 ? undefined : rateOf(guestLogRate),
    output: guestOutputRate === 0 ? undefined : { destination, rate: rateOf(guestOutputRate) },
  };
}

function ownFoldersOf(settings: RunSettings, stateFolder: string): readonly string[] {
  const { caFile, metricsKey, metricsTokenFile, tokenFile } = settings;
  const files = [tokenFile, caFile, metricsKey, metricsTokenFile];
  const credentials = files.map((file) => (file === undefined ? undefined : resolve(file)));
  return ownFolders({ stateFolder, credentials, environment: process.env });
}

async function run<Settings extends RunSettings>(settings: Settings, kind: NodeKind<Settings>): Promise<number> {
  // Asynchronous: a node that does not read our output must not hold up its VMs.
  const output = pino.destination({ dest: 1, sync: false, maxLength: maxOutputBytes });
  const logger = plainLogger(
    { level: settings.logLevel, base: { program: 'lcow-agent', host: settings.nodeName } },
    output,
  );
  const stateFolder =
    settings.stateFolder ?? (process.platform === 'win32' ? resolve(settings.stateDir) : 'C:\\ProgramData\\lcow');
  const own = ownFoldersOf(settings, stateFolder);
  const allowed = allowList({
    paths: settings.allowedPath,
    pipes: settings.allowedPipe,
    devices: settings.allowedDevice,
  });
  const useless = uselessRule(allowed.paths, own);
  if (useless !== undefined) {
    logger.fatal(`--allowed-path ${useless.folder} is a folder of the agent itself: give another one`);
    return 2;
  }
  let metrics: MetricsSettings | undefined;
  try {
    metrics = metricsSettings(settings);
  } catch (error) {
    logger.fatal(messageOf(error));
    return 2;
  }
  const threads = poolProblem(process.env);
  if (threads !== undefined) logger.warn(threads);
  const stop = await listenForStop(logger, kind.listenForShutdown);
  try {
    const end = await runAgent(
      {
        version,
        operator: { url: settings.operatorUrl, tokenFile: settings.tokenFile, caFile: settings.caFile },
        stateDir: settings.stateDir,
        stateFolder,
        ownFolders: own,
        healthPort: settings.healthPort,
        metrics,
        allowed,
        allowedGroups: {
          cpuGroups: settings.allowedCpuGroup,
          resourcePartitions: settings.allowedResourcePartition,
        },
        guestLog: guestLogSettings(settings, output),
        timeouts: { ...defaultTimeouts, bootTimeout: settings.bootTimeout * 1000 },
      },
      realOutside(kind.access(settings), logger),
      stop.signal,
    );
    if (end === 'serviceLost') logger.error('the compute service went away: a new agent has to look at what is left');
    return end === 'serviceLost' ? serviceLostExitCode : 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    logger.fatal({ error: messageOf(error) }, 'the agent cannot run');
    return 1;
  } finally {
    stop.done();
  }
}
