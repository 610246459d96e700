// Which vsock ports of a guest a user may reach. Those that the agent and the guest agent use between them are excluded,
// on whichever side their listener is: the bridge, and all ports above it, where the streams of processes are.
import { plan9Port } from '../modification/plan9.ts';
import { guestPorts } from '../node/guest-sockets.ts';

const agentPorts: readonly number[] = [guestPorts.entropy, guestPorts.log, plan9Port];

export function isForwardable(port: number): boolean {
  return port > 0 && port < guestPorts.bridge && !agentPorts.includes(port);
}

export function notForwardable(port: number): string {
  const last = guestPorts.bridge - 1;
  return `vsock port ${port} cannot be forwarded: only ports from 1 to ${last} can, without ${agentPorts.join(', ')}, which the agent uses`;
}
