// The guest's connections to an agent in another process. They end here, as connections of a Hyper-V socket end in the
// kernel: when the agent dies, the guest sees their end, and what the agent had not read is lost. The vsock device of
// the emulator (`bed.ts`) leaves a connection open for ever whose reader died with unread data.
import type { Duplex } from 'node:stream';
import type { RuntimeId } from '../../../agent/node/backend.ts';
import type { GuestListener } from '../../../agent/node/guest-sockets.ts';
import { SimulatedGuestSockets } from '../../../simulator/client/guest-sockets.ts';
import { guestSocketPath } from '../../../simulator/wire/guest-address.ts';
import { dialPath } from '../../../simulator/wire/guest-dial.ts';

export class ForwardedSockets {
  readonly #outside: SimulatedGuestSockets;
  readonly #folder: string;
  readonly #listeners: GuestListener[] = [];
  readonly #over = new AbortController();

  /**
   * @param emulated the folder of the sockets that the emulator connects to
   * @param folder that of the agent's sockets
   */
  constructor(emulated: string, folder: string) {
    this.#outside = new SimulatedGuestSockets(emulated);
    this.#folder = folder;
  }

  async listen(runtimeId: RuntimeId, port: number): Promise<void> {
    const listener = await this.#outside.listen(runtimeId, port);
    this.#listeners.push(listener);
    this.#forward(listener, guestSocketPath(this.#folder, runtimeId, port)).catch(() => undefined);
  }

  /** The agent is about to die. Its connections end with it. */
  async stopListening(): Promise<void> {
    this.#over.abort(new Error('the agent dies'));
    for (const listener of this.#listeners) await listener.close();
  }

  async #forward(listener: GuestListener, path: string): Promise<void> {
    for (;;) {
      const guest = await listener.accept(this.#over.signal);
      guest.on('error', () => undefined);
      const agent = await dialPath(path);
      if (agent === 'refused') guest.destroy();
      else connect(guest, agent);
    }
  }
}

function connect(guest: Duplex, agent: Duplex): void {
  agent.pipe(guest);
  guest.pipe(agent);
  // A connection is closed in order only when nothing in it is unread.
  agent.once('close', () => {
    guest.unpipe(agent);
    guest.resume();
    guest.end();
  });
}
