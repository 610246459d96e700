// The sockets on which a guest connects to its host (hcs-runtime C.3): one listener for each (RuntimeId, port), bound
// before the VM starts. Hyper-V sockets on Windows, Unix sockets in simulation.
import type { Duplex } from 'node:stream';
import type { RuntimeId } from './backend.ts';

/** vsock ports of a Linux utility VM (hcs-runtime H). */
export const guestPorts = {
  entropy: 1,
  log: 109,
  bridge: 0x4000_0000,
} as const;

export interface GuestListener {
  /**
   * Returns the next connection. Rejects when the signal aborts or the listener is closed. Abandoned connections are
   * destroyed.
   */
  accept(signal: AbortSignal): Promise<Duplex>;
  /** Idempotent; pending accepts reject. */
  close(): Promise<void>;
}

export interface GuestSockets {
  listen(runtimeId: RuntimeId, port: number): Promise<GuestListener>;
}
