// The agent's metrics, collected on each scrape. The metrics library is loaded on the first scrape: an agent that
// nobody scrapes does not need it.

import type { ObservedVirtualMachine } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { MetricsText } from '../../runtime/metrics/recent-text.ts';
import type { SystemStatistics } from '../node/backend.ts';
import type { AgentFigures, MachineFigures } from './figures.ts';
import { AgentTally } from './tally.ts';
import { type MeasuredMachine, UsageReader } from './usage.ts';

export interface MetricMachine extends MeasuredMachine {
  readonly assignment: { readonly namespace: string; readonly name: string } | undefined;
  readonly isAwaitingCall: boolean;
  observe(): Pick<ObservedVirtualMachine, 'phase' | 'guestLog'>;
}

/** The part of the supervisor that metrics read. */
export interface MetricMachines {
  uids(): readonly string[];
  machine(uid: string): MetricMachine | undefined;
}

const noMachines: MetricMachines = { uids: () => [], machine: () => undefined };

export class AgentMetrics {
  readonly tally = new AgentTally();
  readonly usage: UsageReader;
  readonly #version: string;
  #machines: MetricMachines = noMachines;
  #writer: Promise<(figures: AgentFigures) => Promise<MetricsText>> | undefined;
  #scrape: Promise<MetricsText> | undefined;

  constructor(version: string, clock: Clock) {
    this.#version = version;
    this.usage = new UsageReader(clock);
  }

  /** Sets the VMs of the node that metrics report on. */
  watch(machines: MetricMachines): void {
    this.#machines = machines;
  }

  /** Scrapes at the same time share one answer. */
  scrape(): Promise<MetricsText> {
    this.#scrape ??= this.#write().finally(() => {
      this.#scrape = undefined;
    });
    return this.#scrape;
  }

  async #write(): Promise<MetricsText> {
    this.#writer ??= import('./registry.ts').then(({ metricsWriter }) => metricsWriter());
    const [write, figures] = await Promise.all([this.#writer, this.#gather()]);
    return write(figures);
  }

  async #gather(): Promise<AgentFigures> {
    const machines = new Map(
      this.#machines.uids().flatMap((uid) => {
        const machine = this.#machines.machine(uid);
        return machine === undefined ? [] : [[uid, machine] as const];
      }),
    );
    const usage = await this.usage.read(machines);
    return {
      version: this.#version,
      machines: [...machines].map(([uid, machine]) => figuresOf(uid, machine, usage.get(uid) ?? {})),
      tally: this.tally,
      statisticsFailures: this.usage.failures,
      residentBytes: process.memoryUsage.rss(),
    };
  }
}

function figuresOf(uid: string, machine: MetricMachine, usage: SystemStatistics): MachineFigures {
  const { guestLog, phase } = machine.observe();
  const { name = '', namespace = '' } = machine.assignment ?? {};
  const { isAwaitingCall } = machine;
  return { uid, namespace, name, phase, linesDropped: guestLog.dropped, isAwaitingCall, usage };
}
