// Collects the parts of an agent's hello, and what it reports before it has been welcomed.
import { type AgentMessage, type Element, type Hello, limits } from '../../protocol/messages.ts';
import type { HostIntroduction } from '../controller/host-status.ts';

export type HelloProgress = 'Incomplete' | 'Complete' | 'TooMany' | 'Repeated';

export class Introduction {
  readonly #elements = new Map<string, Element>();
  #last: Hello | undefined;

  take(hello: Hello): HelloProgress {
    if (this.#last?.last === true) return 'Repeated';
    this.#last = hello;
    for (const element of hello.virtualMachines) this.#elements.set(element.uid, element);
    if (this.#elements.size > limits.virtualMachinesPerHost) return 'TooMany';
    return hello.last ? 'Complete' : 'Incomplete';
  }

  /** False when the hello has not been complete yet. */
  amend(message: Exclude<AgentMessage, Hello>): boolean {
    if (this.#last?.last !== true) return false;
    if (message.type === 'observed') this.#elements.set(message.virtualMachine.uid, message.virtualMachine);
    if (message.type === 'removed') this.#elements.delete(message.uid);
    return this.#elements.size <= limits.virtualMachinesPerHost;
  }

  /** HCS was fully enumerated: what is not among the VMs does not exist. */
  get enumerated(): boolean {
    return this.#last?.complete ?? false;
  }

  /** Hands them over: they are kept elsewhere from now on. */
  takeVirtualMachines(): readonly Element[] {
    const elements = [...this.#elements.values()];
    this.#elements.clear();
    return elements;
  }

  get host(): HostIntroduction | undefined {
    if (this.#last === undefined) return undefined;
    return { agentVersion: this.#last.agentVersion, facts: this.#last.host, nodeUID: undefined };
  }

  /** What it understands beyond the messages that all agents do. */
  get capabilities(): readonly string[] {
    return this.#last?.capabilities ?? [];
  }

  get protocolVersions(): readonly string[] {
    return this.#last?.protocolVersions ?? [];
  }
}
