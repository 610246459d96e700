// Collects the parts of an agent's hello, and the reports that arrive before its welcome. What is kept is bounded on
// arrival (docs/design.md §10): bytes for each VM, bytes in total, and the number of parts.
import { boundedFacts } from '../../protocol/bounded-facts.ts';
import type { MessageOfAgents } from '../../protocol/earlier-agents.ts';
import { intentsCapability } from '../../protocol/intent.ts';
import { type Element, type Hello, limits } from '../../protocol/messages.ts';
import { Reports, type SizedReport } from '../controller/knowledge/reports.ts';
import type { HostIntroduction } from '../controller/status/host-status.ts';
import { readReport } from './report-reading.ts';

export type HelloProgress = 'Incomplete' | 'Complete' | 'TooLong' | 'Repeated';

/** Twice as many as a host with the maximum number of VMs needs. */
const mostParts = 2 * Math.ceil(limits.virtualMachinesPerHost / limits.partElements);

type Introduced = Pick<Hello, 'complete' | 'last' | 'capabilities' | 'protocolVersions'>;

export class Introduction {
  readonly #reports = new Reports(helloBudget);
  /** The agent reported more VMs than a host may have. The others were ignored. */
  hasTooMany = false;
  #parts = 0;
  #host: HostIntroduction | undefined;
  #last: Introduced | undefined;

  take(hello: Hello): HelloProgress {
    if (this.#isComplete) return 'Repeated';
    this.#parts += 1;
    if (this.#parts > mostParts) return 'TooLong';
    const { agentVersion, capabilities, complete, host, last, lastEpoch, protocolVersions, virtualMachines } = hello;
    this.#last = { capabilities, complete, last, protocolVersions };
    this.#host ??= { agentVersion, facts: boundedFacts(host), nodeUID: undefined, lastEpoch };
    for (const element of virtualMachines) this.#take(element);
    return last ? 'Complete' : 'Incomplete';
  }

  /** False while the hello is incomplete. */
  amend(message: Exclude<MessageOfAgents, Hello>): boolean {
    if (!this.#isComplete) return false;
    if (message.type === 'observed') this.#take(message.virtualMachine);
    if (message.type === 'removed') this.#reports.delete(message.uid);
    return true;
  }

  #take(element: Element): void {
    const { byUid } = this.#reports;
    if (byUid.size < limits.virtualMachinesPerHost || byUid.has(element.uid)) this.#reports.take(readReport(element));
    else this.hasTooMany = true;
  }

  get #isComplete(): boolean {
    return this.#last?.last === true;
  }

  /** HCS was fully enumerated, and every VM was kept: a VM that is not listed does not exist on the host. */
  get enumerated(): boolean {
    return this.#last?.complete === true && !this.hasTooMany;
  }

  /** Returns the reports and releases them; the caller keeps them from now on. */
  takeReports(): readonly SizedReport[] {
    const reports = [...this.#reports.byUid.values()];
    this.#reports.clear();
    return reports;
  }

  get host(): HostIntroduction | undefined {
    return this.#host;
  }

  /** What the agent understands beyond the messages that every agent understands. */
  get capabilities(): readonly string[] {
    return this.#last?.capabilities ?? [];
  }

  /** False for agents of earlier versions. */
  get understandsIntents(): boolean {
    return this.capabilities.includes(intentsCapability);
  }

  get protocolVersions(): readonly string[] {
    return this.#last?.protocolVersions ?? [];
  }
}

function helloBudget(virtualMachines: number): number {
  return limits.helloBytes + virtualMachines * limits.helloBytesPerVirtualMachine;
}
