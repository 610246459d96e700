// What the node is to the agent: its compute service, its files and facts, its guests' sockets and consoles.
import type { HcsBackend } from './backend.ts';
import type { GuestSockets } from './guest-sockets.ts';
import type { WindowsHost } from './host.ts';
import type { StateStorage } from './state-storage.ts';

/** What a console prints, by the name of its pipe. */
export type ReadConsole = (pipe: string, signal: AbortSignal) => AsyncIterable<Uint8Array>;

/** The node that the agent runs on. */
export interface AgentNode {
  readonly backend: HcsBackend;
  readonly host: WindowsHost;
  readonly sockets: GuestSockets;
  /** What the console of a VM prints, by the name of its pipe. */
  readonly readConsole: ReadConsole;
  close(): Promise<void>;
}

/** The way to a node: its storage at once, the rest when this agent is the only one there. */
export interface NodeAccess {
  readonly storage: StateStorage;
  connect(): Promise<AgentNode>;
}
