// The agent of a node whose VMs are emulated, with a real Linux (test/guest): the agent's own code with another
// backend. Files and facts of the host are simulated.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { uptime } from 'node:os';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { z } from 'zod';
import { runAgent } from '../../../agent/agent.ts';
import { defaultTimeouts } from '../../../agent/bounds/timeouts.ts';
import { realOutside } from '../../../agent/commands/outside.ts';
import type { AgentNode } from '../../../agent/node/node.ts';
import { allowList } from '../../../agent/preparation/allow-list.ts';
import { localStorage } from '../../../agent/storage/local-storage.ts';
import { readConsole } from '../../../agent/windows/console-pipe.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { prepareBed } from './bed.ts';
import { emulatedConsolePath, QemuBackend } from './qemu-backend.ts';

const text = { type: 'string' } as const;
const flags = z
  .object({
    'operator-url': z.string(),
    'token-file': z.string(),
    'ca-file': z.string(),
    'state-dir': z.string(),
    'simulated-socket': z.string(),
    'node-name': z.string(),
    'health-port': z.coerce.number().int().optional(),
  })
  .parse(
    parseArgs({
      options: {
        'operator-url': text,
        'token-file': text,
        'ca-file': text,
        'state-dir': text,
        'simulated-socket': text,
        'node-name': text,
        'health-port': text,
      },
    }).values,
  );

async function connectNode(): Promise<AgentNode> {
  const bed = await prepareBed();
  const folder = `${flags['simulated-socket']}.guests`;
  await endLeftovers(folder);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const { host, sockets, ...connection } = await connectSimulatedHost(flags['simulated-socket'], folder);
  const backend = new QemuBackend(bed, folder, {
    complain: (said) => logger.warn({ said: said.trim() }, 'the emulator complains'),
  });
  return {
    backend,
    host,
    sockets,
    networks: connection.networks,
    readConsole: (pipe, signal) => readConsole(emulatedConsolePath(folder, pipe), signal),
    uptime: () => uptime() * 1000,
    async close() {
      await backend.close();
      await connection.close();
    },
  };
}

/** Ends the emulators of an agent that was killed, as HCS would. They are identified by the folder of their sockets. */
async function endLeftovers(folder: string): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (pid !== process.pid && commandLine.includes(`${folder}/`)) process.kill(pid, 'SIGKILL');
  }
}

const output = pino.destination({ dest: 1, sync: false });
const logger = pino({ base: { program: 'lcow-agent', host: flags['node-name'] } }, output);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => stop.abort());
try {
  await runAgent(
    {
      version: 'emulated',
      operator: { url: flags['operator-url'], tokenFile: flags['token-file'], caFile: flags['ca-file'] },
      stateDir: flags['state-dir'],
      stateFolder: 'C:\\ProgramData\\lcow',
      ownFolders: ['C:\\ProgramData\\lcow'],
      healthPort: flags['health-port'],
      allowed: allowList({ paths: [], pipes: ['*'], devices: ['*'] }),
      guestLog: { output: { destination: output, rate: { recordsPerSecond: 1_000, burst: 10_000 } } },
      timeouts: defaultTimeouts,
    },
    realOutside({ storage: localStorage, connect: connectNode }, logger),
    stop.signal,
  );
} catch (error) {
  if (!stop.signal.aborted) logger.fatal({ error: messageOf(error) }, 'the agent cannot run');
  process.exitCode = stop.signal.aborted ? 0 : 1;
}
