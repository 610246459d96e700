// Chooses who runs the VMs. Each backend is loaded only when it is the one, so that native code is not touched elsewhere.
import { rm } from 'node:fs/promises';
import type { HostFacts } from '../protocol/messages.ts';
import type { AgentNode } from './node/node.ts';

export type NodeChoice =
  | { readonly backend: 'computecore'; readonly isolation: HostFacts['isolation'] }
  /** `socket`: on which the service process of the simulated node serves. */
  | { readonly backend: 'simulated'; readonly socket: string };

export async function connectNode(choice: NodeChoice): Promise<AgentNode> {
  if (choice.backend === 'computecore') {
    const { connectWindowsNode } = await import('./windows/node.ts');
    return connectWindowsNode({ isolation: choice.isolation });
  }
  const { connectSimulatedHost } = await import('../simulator/client/client.ts');
  const socketDirectory = `${choice.socket}.guests`;
  // We hold the node's lock, so what lies there is what a killed agent left behind.
  await rm(socketDirectory, { recursive: true, force: true });
  const { simulatedConsolePath } = await import('../simulator/wire/console.ts');
  const { readConsole } = await import('./windows/console-pipe.ts');
  return {
    ...(await connectSimulatedHost(choice.socket, socketDirectory)),
    readConsole: (pipe, signal) => readConsole(simulatedConsolePath(choice.socket, pipe), signal),
  };
}
