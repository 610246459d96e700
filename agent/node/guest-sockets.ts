// The sockets between a guest and its host (hcs-runtime C.3). The guest connects to one listener for each (RuntimeId,
// port), bound before the VM starts; the host connects to ports on which programs of the guest listen. Hyper-V sockets
// on Windows, Unix sockets in simulation.
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
  /**
   * Connects to a port of the guest. Rejects with the code `ECONNREFUSED` when no program of the guest listens there,
   * with another error, or with the signal's reason. The connection allows half-close, and its errors need no listener.
   */
  connect(runtimeId: RuntimeId, port: number, signal: AbortSignal): Promise<Duplex>;
}
