// The node as the agent uses it: its compute service, files, facts, guest sockets and consoles.
import type { HcsBackend } from './backend.ts';
import type { GuestSockets } from './guest-sockets.ts';
import type { WindowsHost } from './host.ts';
import type { NetworkService } from './network-service.ts';
import type { StateStorage } from './state-storage.ts';

/** Reads the output of a console, by the name of its pipe. */
export type ReadConsole = (pipe: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** The node that the agent runs on. */
export interface AgentNode {
  readonly backend: HcsBackend;
  readonly host: WindowsHost;
  readonly sockets: GuestSockets;
  /** Reads the output of a VM's console, by the name of its pipe. */
  readonly readConsole: ReadConsole;
  readonly networks: NetworkService;
  /** Milliseconds since the computer started. */
  uptime(): number;
  close(): Promise<void>;
}

/** Access to a node: its storage at once, the rest once this agent is the only one on it. */
export interface NodeAccess {
  readonly storage: StateStorage;
  connect(): Promise<AgentNode>;
}
