// Chooses who runs the VMs. Each backend is loaded only when it is the one, so that native code is not touched elsewhere.
import { rm } from 'node:fs/promises';
import type { AgentNode } from './agent.ts';

export const backends = ['simulated'] as const;
export type BackendName = (typeof backends)[number];

/** @param simulatedSocket on which the service process of the simulated node serves */
export async function connectSimulatedNode(simulatedSocket: string): Promise<AgentNode> {
  const { connectSimulatedHost } = await import('./hcs/simulated/client.ts');
  const socketDirectory = `${simulatedSocket}.guests`;
  // We hold the node's lock, so what lies there is what a killed agent left behind.
  await rm(socketDirectory, { recursive: true, force: true });
  return await connectSimulatedHost(simulatedSocket, socketDirectory);
}
