// The bridge of one VM across all its connections (hcs-runtime E.1, E.7). The guest reconnects indefinitely, each
// connection is negotiated anew, and processes in the guest live on in between.
import type { Logger } from 'pino';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { GuestBridge } from '../guest/bridge/bridge.ts';
import { GuestProtocolError, GuestRefusal } from '../guest/bridge/errors.ts';
import type { GuestIdentity } from '../guest/bridge/messages.ts';
import { GuestProcesses, type GuestProcessesOptions } from '../guest/bridge/processes.ts';
import type { RandomBytes } from '../guest/entropy.ts';
import type { GuestListener } from '../node/guest-sockets.ts';
import { RedialPauses } from './redial-pauses.ts';

export interface ConversationPorts {
  readonly uid: string;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly logger: Logger;
  /** Called when the guest's bridge came up or went away. */
  readonly onConnection: () => void;
}

export class GuestConversation {
  readonly processes: GuestProcesses;
  readonly #listener: GuestListener;
  readonly #ports: ConversationPorts;
  readonly #first = Promise.withResolvers<GuestIdentity>();
  #bridge: GuestBridge | undefined;
  #isConnected = false;
  /**
   * Starts at a fresh high number in each agent process, so that late answers to an earlier agent can be told apart
   * (hcs-runtime E.7).
   */
  #nextId: bigint;

  constructor(listener: GuestListener, ports: ConversationPorts, stdio: Omit<GuestProcessesOptions, 'clock'>) {
    this.#listener = listener;
    this.#ports = ports;
    this.#nextId = BigInt(Buffer.from(ports.randomBytes(4)).readUInt32LE()) << 24n;
    this.processes = new GuestProcesses({ ...stdio, clock: ports.clock });
    // The negotiation may fail while nobody waits for it.
    this.#first.promise.catch(() => undefined);
  }

  /** Resolves with the guest of the first successful negotiation. */
  get first(): Promise<GuestIdentity> {
    return this.#first.promise;
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  /** The current connection, for requests that do not outlive it. */
  get bridge(): GuestBridge {
    if (this.#bridge === undefined || !this.#isConnected) throw new GuestProtocolError('the guest is not connected');
    return this.#bridge;
  }

  async serve(signal: AbortSignal): Promise<void> {
    const pauses = new RedialPauses(this.#ports.clock);
    while (!signal.aborted) {
      const stream = await this.#listener.accept(signal);
      pauses.connected();
      const bridge = GuestBridge.connect(stream, {
        clock: this.#ports.clock,
        firstId: this.#nextId,
        onLateAnswer: (id, body) => this.processes.lateAnswer(id, body),
      });
      this.#bridge = bridge;
      await this.#converse(bridge, signal);
      this.#nextId = bridge.nextId;
      await pauses.wait(signal);
    }
  }

  close(): void {
    this.#bridge?.close();
    this.processes.end();
  }

  /** Serves one connection from its negotiation to its end. */
  async #converse(bridge: GuestBridge, signal: AbortSignal): Promise<void> {
    const { logger, onConnection } = this.#ports;
    try {
      const guest = await bridge.negotiate(signal);
      this.#isConnected = true;
      this.processes.connected(bridge);
      this.#first.resolve(guest);
      onConnection();
      const end = await bridge.closed;
      if (end.kind === 'failed') logger.warn({ error: end.message }, 'the guest bridge ended');
    } catch (error) {
      if (!signal.aborted) logger.warn({ error: messageOf(error) }, 'the guest bridge did not come up');
      if (error instanceof GuestProtocolError || error instanceof GuestRefusal) this.#first.reject(error);
      bridge.close();
    }
    this.#isConnected = false;
    this.processes.disconnected();
    onConnection();
  }
}
