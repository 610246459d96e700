#!/usr/bin/env node
// The agent's program on a simulated node: the same agent, with the node's service process instead of Windows.
import '../agent/thread-pool.ts';
import { rm } from 'node:fs/promises';
import { uptime } from 'node:os';
import { Command, Option } from 'commander';
import { type NodeKind, type RunSettings, runCommand } from '../agent/commands/run.ts';
import { version } from '../agent/commands/version.ts';
import type { AgentNode } from '../agent/node/node.ts';
import { localStorage } from '../agent/storage/local-storage.ts';
import { readConsole } from '../agent/windows/console-pipe.ts';
import { connectSimulatedHost } from './client/client.ts';
import { simulatedConsolePath } from './wire/console.ts';

interface SimulatedSettings extends RunSettings {
  readonly simulatedSocket: string;
}

const simulatedNode: NodeKind<SimulatedSettings> = {
  options: [new Option('--simulated-socket <path>', 'socket of the simulated node').makeOptionMandatory()],
  access: ({ simulatedSocket }) => ({ storage: localStorage, connect: () => connectNode(simulatedSocket) }),
};

async function connectNode(socket: string): Promise<AgentNode> {
  const socketDirectory = `${socket}.guests`;
  // This agent holds the node's lock, so any sockets in the folder are leftovers of a killed agent.
  await rm(socketDirectory, { recursive: true, force: true });
  return {
    ...(await connectSimulatedHost(socket, socketDirectory)),
    readConsole: (pipe, signal) => readConsole(simulatedConsolePath(socket, pipe), signal),
    uptime: () => uptime() * 1000,
  };
}

const run = runCommand(simulatedNode, (code) => {
  process.exitCode = code;
});
await new Command('simulated-agent')
  .description('Runs the agent of a simulated node, for demonstrations and tests.')
  .version(version)
  .addCommand(run, { isDefault: true })
  .parseAsync();
