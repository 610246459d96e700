// The requests that this host sends to a guest over its bridge (hcs-runtime E.4, E.6). One object stands for one
// connection; channel.ts implements the connection.
import type { Duplex } from 'node:stream';
import { BridgeChannel, type BridgeOptions } from './channel.ts';
import { BridgeClosedError, type BridgeEnd, GuestProtocolError } from './errors.ts';
import { type GuestModification, modificationRequest } from './guest-modification.ts';
import {
  dumpStacksResponse,
  emptyResponse,
  executeResponse,
  type GuestIdentity,
  identityOf,
  negotiateResponse,
  noTimeLimit,
  payloads,
  propertiesResponse,
  protocolVersion,
  waitResponse,
} from './messages.ts';
import { executeSettings, type GuestCommand, type StdioPorts } from './process-request.ts';

export type { BridgeOptions } from './channel.ts';
export type { BridgeEnd } from './errors.ts';
export type { GuestIdentity } from './messages.ts';

export class GuestBridge {
  readonly #channel: BridgeChannel;
  #guest: GuestIdentity | undefined;

  private constructor(channel: BridgeChannel) {
    this.#channel = channel;
  }

  /** Takes ownership of the stream. Nothing is sent before `negotiate`. */
  static connect(stream: Duplex, options: BridgeOptions): GuestBridge {
    return new GuestBridge(new BridgeChannel(stream, options));
  }

  get closed(): Promise<BridgeEnd> {
    return this.#channel.closed;
  }

  /** The first request id for a later connection to the same guest. */
  get nextId(): bigint {
    return this.#channel.nextId;
  }

  /** Number of answers to requests of earlier connections. */
  get lateAnswers(): number {
    return this.#channel.lateAnswers;
  }

  /** The whole handshake with a Linux guest (E.4). No other request may be sent before it is answered. */
  async negotiate(signal: AbortSignal): Promise<GuestIdentity> {
    const payload = payloads.negotiateProtocol();
    const answer = await this.#channel.ask('negotiateProtocol', payload, negotiateResponse, { signal }).answer;
    if (answer.Version !== protocolVersion) {
      throw new GuestProtocolError(`unexpected version ${answer.Version} returned`);
    }
    this.#guest = identityOf(answer);
    return this.#guest;
  }

  /**
   * @param patience milliseconds until this rejects with `GuestUnansweredError`; absent: the bridge is given up at its
   * own limit
   */
  async modify(modification: GuestModification, patience?: number): Promise<void> {
    const payload = payloads.modifySettings(modificationRequest(modification));
    await this.#channel.ask('modifySettings', payload, emptyResponse, { patience }).answer;
  }

  /**
   * Starts a process in the VM, outside of any container. Resolves with its id, after the guest has connected to the
   * ports.
   */
  async execute(command: GuestCommand, ports: StdioPorts): Promise<number> {
    const payload = payloads.executeProcess(executeSettings(command, ports));
    const answer = await this.#channel.ask('executeProcess', payload, executeResponse).answer;
    return answer.ProcessId;
  }

  /**
   * Waits for a process of the VM, without a limit by default. The guest forgets a process once it has answered, so an
   * answer on an earlier connection counts as well. The request id identifies the process.
   */
  wait(
    processId: number,
    milliseconds: number = noTimeLimit,
  ): { readonly id: bigint; readonly exitCode: Promise<number> } {
    const payload = payloads.waitForProcess(processId, milliseconds);
    const { id, answer } = this.#channel.ask('waitForProcess', payload, waitResponse, { isUnlimited: true });
    return { id, exitCode: answer.then(({ ExitCode }) => ExitCode) };
  }

  /** Properties of a container as JSON text. A Linux guest has no properties of the VM itself. */
  async properties(containerId: string, types: readonly string[], signal: AbortSignal): Promise<string> {
    const payload = payloads.getProperties(containerId, types);
    const answer = await this.#channel.ask('getProperties', payload, propertiesResponse, { signal }).answer;
    return answer.Properties;
  }

  /** The stacks of all goroutines of the guest agent. A guest without the capability is not asked (E.4). */
  async dumpStacks(): Promise<string> {
    if (this.#guest?.capabilities.includes('DumpStacksSupported') === false) return '';
    const answer = await this.#channel.ask('dumpStacks', payloads.plain(), dumpStacksResponse).answer;
    return answer.GuestStacks;
  }

  /** Powers the guest off. The guest does not answer but ends the stream (E.6), which resolves this call. */
  async powerOff(signal: AbortSignal, how: 'shutdownGraceful' | 'shutdownForced' = 'shutdownGraceful'): Promise<void> {
    try {
      await this.#channel.ask(how, payloads.plain(), emptyResponse, { signal }).answer;
    } catch (error) {
      if (!(error instanceof BridgeClosedError && error.end.kind === 'failed')) throw error;
    }
  }

  close(): void {
    this.#channel.close();
  }
}
