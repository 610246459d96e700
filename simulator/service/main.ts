#!/usr/bin/env node
// The service process of a simulated node: `main.ts --socket PATH --host host.yaml --state-dir DIR`. Prints one line
// once it serves. Ends with its VMs on SIGTERM or SIGINT.
import { Command } from 'commander';
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';
import { readHostFile } from '../host-file.ts';
import { runSimulatedHost } from './service.ts';

const options = z.object({ socket: z.string(), host: z.string(), stateDir: z.string() });

async function main(argv: readonly string[]): Promise<void> {
  const command = new Command('simulated-host')
    .description('Simulates one Windows node with its compute service')
    .requiredOption('--socket <path>', 'Unix socket to serve on')
    .requiredOption('--host <file>', 'description of the node (host.yaml)')
    .requiredOption('--state-dir <folder>', "folder for the node's file table")
    .parse(argv);
  const { socket, host, stateDir } = options.parse(command.opts());
  const running = await runSimulatedHost({
    socketPath: socket,
    host: await readHostFile(host),
    stateDirectory: stateDir,
  });
  const stop = () => void running.close().finally(() => process.exit(0));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.stdout.write(`serving ${socket}\n`);
}

try {
  await main(process.argv);
} catch (error) {
  process.stderr.write(`simulated-host: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
