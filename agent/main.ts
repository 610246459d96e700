#!/usr/bin/env node
// The program `lcow-agent`: without a subcommand, the agent of a node.
import './thread-pool.ts';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { z } from 'zod';
import { messageOf } from '../runtime/error-text.ts';
import { plainLogger } from '../runtime/log-lines.ts';
import { plainText } from '../runtime/plain-text.ts';
import { type GuestLogSettings, runAgent } from './agent.ts';
import { poolProblem } from './bounds/pool-size.ts';
import { defaultTimeouts } from './bounds/timeouts.ts';
import type { DoctorCommandOptions } from './commands/doctor.ts';
import type { CommandIO, DocumentCommandOptions } from './commands/document.ts';
import { connectNode, type NodeChoice } from './connect-node.ts';
import type { LineDestination } from './guest-log/output.ts';
import { urlProblem } from './link/dial.ts';
import { allowList } from './preparation/allow-list.ts';
import { ownFolders, uselessRule } from './preparation/own-folders.ts';
import { parsePathRule } from './preparation/paths/path-rules.ts';
import { parsePipePattern } from './preparation/paths/pipe-patterns.ts';
import { listenForStop } from './stop-signals.ts';

/** What a service manager takes as "start me again": nothing is wrong with us, but what we knew is void. */
const serviceLostExitCode = 75;

const { version } = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

interface Arguments {
  readonly operatorUrl: string;
  readonly tokenFile: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly stateFolder?: string;
  readonly backend: NodeChoice['backend'];
  readonly simulatedSocket?: string;
  readonly isolation?: 'snp';
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
}

function operatorUrl(url: string): string {
  const problem = urlProblem(url);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return url;
}

function positiveSeconds(given: string): number {
  const seconds = Number(given);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('seconds, above 0 and at most a day');
  return seconds;
}

function portNumber(given: string): number {
  const port = Number(given);
  if (!(Number.isInteger(port) && port >= 0 && port <= 65_535))
    throw new InvalidArgumentError('a port from 0 to 65535');
  return port;
}

function collectGuids(given: string, before: readonly string[]): readonly string[] {
  if (!z.guid().safeParse(given).success) throw new InvalidArgumentError('a GUID without braces');
  return [...before, given];
}

/** Of a flag that can be given several times. What it means is read again where it is used. */
function patterns(read: (pattern: string) => unknown) {
  return (given: string, before: readonly string[]): readonly string[] => {
    try {
      read(given);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
    return [...before, given];
  };
}

/** What manifests may name on the host. The doctor takes them, too, to judge them before an agent is started with them. */
const allowedOptions = [
  new Option(
    '--allowed-path <folder...>',
    'folders that specs may name disks in, with :ro for reading only; {namespace} is that of the VM',
  ).argParser(patterns(parsePathRule)),
  new Option(
    '--allowed-pipe <name...>',
    'named pipes that specs may use for consoles; {namespace} is that of the VM, a final * any ending',
  ).argParser(patterns(parsePipePattern)),
  new Option('--allowed-device <id...>', 'devices that specs may assign, by instance id; a final * is any ending'),
  new Option('--allowed-cpu-group <guid...>', 'CPU groups that specs may join').argParser(collectGuids),
  new Option('--allowed-resource-partition <guid...>', 'resource partitions that specs may join').argParser(
    collectGuids,
  ),
].map((option) => option.default([]));

function linesPerSecond(given: string): number {
  const lines = Number(given);
  if (!(Number.isInteger(lines) && lines >= 0 && lines <= 1_000_000_000)) {
    throw new InvalidArgumentError('a whole number of lines a second');
  }
  return lines;
}

const isWindows = process.platform === 'win32';
const defaultStateDir = isWindows ? `${process.env.ProgramData ?? 'C:\\ProgramData'}\\lcow` : '/var/lib/lcow';

const commandIO: CommandIO = {
  read: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
  out: (line) => process.stdout.write(`${line}\n`),
  problem: (line) => process.stderr.write(`${plainText(line)}\n`),
};

function program(exitWith: (code: number) => void): Command {
  const agent = new Command('lcow-agent')
    .description('Runs the Linux utility VMs of a Windows node, as the lcow-operator says.')
    .version(version)
    .enablePositionalOptions();
  const agentProgram = agent
    .command('run', { isDefault: true })
    .description('the agent of a node (the default)')
    .requiredOption('--operator-url <url>', 'where the operator listens, wss://<host>:8443/v1/agents', operatorUrl)
    .requiredOption('--token-file <path>', 'the token that proves which node this is; read before each connection')
    .option('--ca-file <path>', 'the only CA that is trusted for the operator (PEM)')
    .option('--state-dir <path>', 'where the agent keeps its journal', defaultStateDir)
    .option('--state-folder <path>', 'the same folder by its Windows path, for documents')
    .addOption(
      new Option('--backend <name>', 'who runs the VMs: HCS, or a simulated node')
        .choices(['computecore', 'simulated'])
        .default(isWindows ? 'computecore' : 'simulated'),
    )
    .option('--simulated-socket <path>', 'socket of the simulated node, for --backend simulated')
    .addOption(new Option('--isolation <kind>', 'declares that this host can run such VMs').choices(['snp']))
    .option('--boot-timeout <seconds>', 'limit from the start of a VM to its guest being up', positiveSeconds, 120)
    .option('--health-port <port>', 'loopback port for /healthz, /readyz and /metrics (default: none)', portNumber)
    .option('--guest-log-rate <lines>', 'that one guest may log in a second at all; 0 = no limit', linesPerSecond, 0)
    .option(
      '--guest-output-rate <lines>',
      'of each guest in a second that go to standard output as JSON; 0 = none do',
      linesPerSecond,
      1_000,
    )
    .addOption(
      new Option('--log-level <level>', 'of the agent itself')
        .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
        .default('info'),
    )
    .action(async (settings: Arguments) => {
      exitWith(await run(settings));
      endAnyway();
    });
  for (const option of allowedOptions) agentProgram.addOption(option);
  addTools(agent, exitWith);
  return agent;
}

/** A call that hangs in the compute service would keep the process. */
function endAnyway(): void {
  setTimeout(() => process.exit(), 2_000).unref();
}

/** What people run by hand. */
function addTools(agent: Command, exitWith: (code: number) => void): void {
  agent
    .command('document')
    .description('print the HCS documents that the VMs of manifests would get on a host, one JSON line each')
    .requiredOption('--host <file>', 'description of the host: architecture, build, logicalProcessors, files …')
    .requiredOption('-f, --filename <file...>', 'manifests; - is standard input')
    .option('--pretty', 'indented, for people')
    .action(async (settings: DocumentCommandOptions) => {
      // Loaded on demand: an agent that runs has no use for YAML and the schemas of manifests.
      const { documentCommand } = await import('./commands/document.ts');
      exitWith(await documentCommand(settings, commandIO));
    });
  const doctor = agent
    .command('doctor')
    .description('look whether this node has what the agent needs, and say what to do about what is missing')
    .option('--operator-url <url>', 'also look whether the operator answers there', operatorUrl)
    .option('--token-file <path>', 'also look at the token')
    .option('--ca-file <path>', 'also look at the CA for the operator')
    .option('--state-dir <path>', 'where the agent keeps its journal', defaultStateDir)
    .addOption(new Option('--isolation <kind>', 'also look whether the host can run such VMs').choices(['snp']))
    .option('--json', 'one JSON array instead of lines')
    .action(async (settings: DoctorCommandOptions) => {
      const { doctorCommand } = await import('./commands/doctor.ts');
      const { systemPorts } = await import('./doctor/system-ports.ts');
      exitWith(await doctorCommand(settings, systemPorts, commandIO.out));
      endAnyway();
    });
  for (const option of allowedOptions) doctor.addOption(option);
}

function nodeChoice({ backend, isolation, simulatedSocket }: Arguments): NodeChoice | undefined {
  if (backend === 'computecore') return { backend, isolation: isolation === 'snp' ? ['SNP'] : [] };
  return simulatedSocket === undefined ? undefined : { backend, socket: simulatedSocket };
}

/** After a quiet time, or at the boot, so many seconds' worth may come at once. */
const burstSeconds = 10;
/** Of standard output that nobody reads: what waits for it is held to this, and more is lost. */
const maxOutputBytes = 8 << 20;

function guestLogSettings(
  { guestLogRate, guestOutputRate }: Arguments,
  destination: LineDestination,
): GuestLogSettings {
  const rateOf = (lines: number) => ({ recordsPerSecond: lines, burst: burstSeconds * lines });
  return {
    rate: guestLogRate === 0 ? undefined : rateOf(guestLogRate),
    output: guestOutputRate === 0 ? undefined : { destination, rate: rateOf(guestOutputRate) },
  };
}

function ownFoldersOf({ caFile, tokenFile }: Arguments, stateFolder: string): readonly string[] {
  const credentials = [resolve(tokenFile), caFile === undefined ? undefined : resolve(caFile)];
  return ownFolders({ stateFolder, credentials, environment: process.env });
}

async function run(settings: Arguments): Promise<number> {
  // Written to from its own threads: a node that does not read our output must not hold up its VMs.
  const output = pino.destination({ dest: 1, sync: false, maxLength: maxOutputBytes });
  const logger = plainLogger({ level: settings.logLevel, base: { program: 'lcow-agent' } }, output);
  const choice = nodeChoice(settings);
  if (choice === undefined) {
    logger.fatal('--backend simulated needs --simulated-socket');
    return 2;
  }
  const stateFolder = settings.stateFolder ?? (isWindows ? resolve(settings.stateDir) : 'C:\\ProgramData\\lcow');
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
  const threads = poolProblem(process.env);
  if (threads !== undefined) logger.warn(threads);
  const stop = await listenForStop(choice.backend, logger);
  try {
    const end = await runAgent(
      {
        version,
        operator: { url: settings.operatorUrl, tokenFile: settings.tokenFile, caFile: settings.caFile },
        stateDir: settings.stateDir,
        stateFolder,
        ownFolders: own,
        healthPort: settings.healthPort,
        allowed,
        allowedGroups: {
          cpuGroups: settings.allowedCpuGroup,
          resourcePartitions: settings.allowedResourcePartition,
        },
        guestLog: guestLogSettings(settings, output),
        timeouts: { ...defaultTimeouts, bootTimeout: settings.bootTimeout * 1000 },
      },
      () => connectNode(choice),
      logger,
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

await program((code) => {
  process.exitCode = code;
}).parseAsync();
