// The time during which the VM of a simulated guest is paused: the guest reads, answers and writes nothing, and
// continues afterwards. Its sockets decide whether connections survive a pause (hcs-runtime B.7).
import type { Duplex } from 'node:stream';
import type { Dial } from '../wire/guest-dial.ts';
import type { ConnectionsOfPaused } from '../wire/script.ts';

export class Standstill {
  readonly #sockets = new Set<Duplex>();
  readonly #paused = new Set<Duplex>();
  #resumed: PromiseWithResolvers<void> | undefined;

  begin(connections: ConnectionsOfPaused): void {
    this.#resumed ??= Promise.withResolvers<void>();
    for (const socket of this.#sockets) {
      if (connections === 'end') socket.destroy();
      else if (!socket.isPaused()) this.#paused.add(socket.pause());
    }
  }

  end(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
    for (const socket of this.#paused) socket.resume();
    this.#paused.clear();
  }

  /** Resolves at once unless the VM is paused. */
  async over(): Promise<void> {
    while (this.#resumed !== undefined) await this.#resumed.promise;
  }

  /** Connects with `dial` once the VM is not paused. */
  dialling(dial: Dial): Dial {
    return async (port) => {
      await this.over();
      const socket = await dial(port);
      if (socket === 'refused') return socket;
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      return socket;
    };
  }
}
