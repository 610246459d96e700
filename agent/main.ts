#!/usr/bin/env node
// The program `lcow-agent`: without a subcommand, the agent of a node.
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { z } from 'zod';
import { runAgent } from './agent.ts';
import { connectNode } from './connect-node.ts';
import { urlProblem } from './dial.ts';
import { messageOf } from './failure.ts';
import { defaultTimeouts } from './timeouts.ts';

/** What a service manager takes as "start me again": nothing is wrong with us, but what we knew is void. */
const serviceLostExitCode = 75;

const { version } = z.object({ version: z.string() }).parse(
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')),
);

interface Arguments {
  readonly operatorUrl: string;
  readonly tokenFile: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly stateFolder?: string;
  readonly backend: 'computecore' | 'simulated';
  readonly simulatedSocket?: string;
  readonly bootTimeout: number;
  readonly logLevel: string;
}

function operatorUrl(text: string): string {
  const problem = urlProblem(text);
  if (problem !== undefined) throw new InvalidArgumentError(problem);
  return text;
}

function positiveSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('seconds, above 0 and at most a day');
  return seconds;
}

const isWindows = process.platform === 'win32';
const defaultStateDir = isWindows ? `${process.env.ProgramData ?? 'C:\\ProgramData'}\\lcow` : '/var/lib/lcow';

function parseArguments(): Arguments {
  return new Command('lcow-agent')
    .description('Runs the Linux utility VMs of a Windows node, as the lcow-operator says.')
    .version(version)
    .requiredOption('--operator-url <url>', 'where the operator listens, wss://<host>:8443/v1/agents', operatorUrl)
    .requiredOption('--token-file <path>', 'the token that proves which node this is; read before each connection')
    .option('--ca-file <path>', 'the only CA that is trusted for the operator (PEM)')
    .option('--state-dir <path>', 'where the agent keeps its journal', defaultStateDir)
    .option('--state-folder <path>', 'the same folder by its Windows path, for documents', undefined)
    .addOption(
      new Option('--backend <name>', 'who runs the VMs')
        .choices(['computecore', 'simulated'])
        .default(isWindows ? 'computecore' : 'simulated'),
    )
    .option('--simulated-socket <path>', 'socket of the simulated node, for --backend simulated')
    .option('--boot-timeout <seconds>', 'limit from the start of a VM to its guest being up', positiveSeconds, 120)
    .addOption(
      new Option('--log-level <level>', 'of the agent itself')
        .choices(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
        .default('info'),
    )
    .parse()
    .opts<Arguments>();
}

async function main(): Promise<number> {
  const settings = parseArguments();
  const logger = pino({ level: settings.logLevel, base: { program: 'lcow-agent' } });
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
  try {
    const end = await runAgent(
      {
        version,
        operator: { url: settings.operatorUrl, tokenFile: settings.tokenFile, caFile: settings.caFile },
        stateDir: settings.stateDir,
        stateFolder: settings.stateFolder ?? (isWindows ? settings.stateDir : 'C:\\ProgramData\\lcow'),
        timeouts: { ...defaultTimeouts, bootTimeout: settings.bootTimeout * 1000 },
      },
      () => connectNode(settings.backend, settings.simulatedSocket, logger),
      logger,
      stop.signal,
    );
    if (end === 'serviceLost') logger.error('the compute service went away: a new agent has to look at what is left');
    return end === 'serviceLost' ? serviceLostExitCode : 0;
  } catch (error) {
    if (stop.signal.aborted) return 0;
    logger.fatal({ error: messageOf(error) }, 'the agent cannot run');
    return 1;
  }
}

process.exitCode = await main();
