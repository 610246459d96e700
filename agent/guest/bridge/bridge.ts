// What this host asks of a guest over its bridge (hcs-runtime E.4, E.6). One object stands for one connection; how it
// lives and dies is in channel.ts.
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

  /** Takes the stream over. Nothing is sent before `negotiate`. */
  static connect(stream: Duplex, options: BridgeOptions): GuestBridge {
    return new GuestBridge(new BridgeChannel(stream, options));
  }

  get closed(): Promise<BridgeEnd> {
    return this.#channel.closed;
  }

  /** What a later connection to the same guest begins its ids with. */
  get nextId(): bigint {
    return this.#channel.nextId;
  }

  /** Answers to requests of earlier connections. */
  get lateAnswers(): number {
    return this.#channel.lateAnswers;
  }

  /** The whole handshake of a Linux guest (E.4). Nothing else may be asked before it is answered. */
  async negotiate(signal: AbortSignal): Promise<GuestIdentity> {
    const payload = payloads.negotiateProtocol();
    const answer = await this.#channel.ask('negotiateProtocol', payload, negotiateResponse, { signal }).answer;
    if (answer.Version !== protocolVersion) {
      throw new GuestProtocolError(`unexpected version ${answer.Version} returned`);
    }
    this.#guest = identityOf(answer);
    return this.#guest;
  }

  /** @param patience milliseconds after which it rejects with `GuestUnansweredError`; absent: the bridge is given up then */
  async modify(modification: GuestModification, patience?: number): Promise<void> {
    const payload = payloads.modifySettings(modificationRequest(modification));
    await this.#channel.ask('modifySettings', payload, emptyResponse, { patience }).answer;
  }

  /** Starts a process in the VM itself; resolves with its id, after the guest has dialled the ports. */
  async execute(command: GuestCommand, ports: StdioPorts): Promise<number> {
    const payload = payloads.executeProcess(executeSettings(command, ports));
    const answer = await this.#channel.ask('executeProcess', payload, executeResponse).answer;
    return answer.ProcessId;
  }

  /**
   * Waits for a process of the VM, for ever if nothing else is said. The guest forgets the process once it has answered,
   * so the answer of an earlier connection is as good as one of this; the id tells them apart.
   */
  wait(
    processId: number,
    milliseconds: number = noTimeLimit,
  ): { readonly id: bigint; readonly exitCode: Promise<number> } {
    const payload = payloads.waitForProcess(processId, milliseconds);
    const { id, answer } = this.#channel.ask('waitForProcess', payload, waitResponse, { isUnlimited: true });
    return { id, exitCode: answer.then(({ ExitCode }) => ExitCode) };
  }

  /** Of a container; a Linux guest knows none of the VM itself. The text is JSON. */
  async properties(containerId: string, types: readonly string[], signal: AbortSignal): Promise<string> {
    const payload = payloads.getProperties(containerId, types);
    const answer = await this.#channel.ask('getProperties', payload, propertiesResponse, { signal }).answer;
    return answer.Properties;
  }

  /** The stacks of all goroutines of the guest service; a guest that does not say that it can is not asked (E.4). */
  async dumpStacks(): Promise<string> {
    if (this.#guest?.capabilities.includes('DumpStacksSupported') === false) return '';
    const answer = await this.#channel.ask('dumpStacks', payloads.plain(), dumpStacksResponse).answer;
    return answer.GuestStacks;
  }

  /** Powers the guest off. It does not answer but ends the stream (E.6), and that is what this waits for. */
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
