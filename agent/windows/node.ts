// Connects the agent to the Windows node that it runs on.

import { uptime } from 'node:os';
import type { HostFacts } from '../../protocol/messages.ts';
import { systemClock } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import type { AgentNode } from '../node/node.ts';
import type { ComputeCoreBackend } from './computecore/backend.ts';
import { connectComputeCore } from './computecore/computecore.ts';
import { connectComputeNetwork } from './computenetwork/computenetwork.ts';
import { readConsole } from './console-pipe.ts';
import { LocalWindowsHost } from './host.ts';
import { HyperVSockets } from './hvsock/sockets.ts';
import { type NetworkLibraries, type WindowsLibraries, windowsLibraries } from './system-library.ts';

export interface WindowsNodeOptions {
  readonly isolation: HostFacts['isolation'];
  /** Replaces the system's libraries. */
  readonly libraries?: WindowsLibraries;
  readonly networkLibraries?: NetworkLibraries;
  readonly backend?: ComputeCoreBackend;
}

export async function connectWindowsNode(options: WindowsNodeOptions): Promise<AgentNode> {
  const libraries = options.libraries ?? windowsLibraries();
  const backend = options.backend ?? connectComputeCore(libraries);
  const sockets = await HyperVSockets.start(libraries.ws2_32);
  const sources = {
    topology: () => backend.processorTopology(),
    isolation: options.isolation,
    environment: process.env,
    program: process.argv0,
  };
  return {
    backend,
    host: new LocalWindowsHost(sources, libraries),
    sockets,
    readConsole,
    networks: connectComputeNetwork(options.networkLibraries),
    uptime: () => uptime() * 1000,
    async close() {
      await sockets.close();
      await closeInTime(backend);
    },
  };
}

function closeInTime(backend: ComputeCoreBackend): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = systemClock.after(fixedTimes.windows.close, resolve);
    backend
      .close()
      .finally(() => timer.cancel())
      .then(resolve, reject);
  });
}
