// The agent's metrics in the format of Prometheus. Names and labels never change.
import { Counter, Gauge, Registry } from 'prom-client';
import type { MetricsText } from '../../runtime/metrics/recent-text.ts';
import type { AgentFigures, MachineFigures } from './figures.ts';

const ofMachine = ['namespace', 'name', 'uid'] as const;

/** Every value is set again at each scrape, so that a VM that is gone disappears. */
export function metricsWriter(): (figures: AgentFigures) => Promise<MetricsText> {
  const registry = new Registry();
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames: [...labelNames], registers });
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames: [...labelNames], registers });

  const info = gauge('lcow_agent_info', 'Always 1; which version of the agent this is.', ['version']);
  const resident = gauge('process_resident_memory_bytes', 'Resident memory of the agent.');
  const machines = gauge('lcow_agent_virtual_machines', 'VMs of this node by their phase.', ['phase']);
  const draining = gauge('lcow_agent_calls_draining', 'VMs that wait for a call which has exceeded its bound.');
  const processor = counter(
    'lcow_agent_virtual_machine_cpu_seconds_total',
    'Processor time that a running VM has used since it was started.',
    ofMachine,
  );
  const memory = gauge(
    'lcow_agent_virtual_machine_assigned_memory_bytes',
    'Memory of the host that a running VM has.',
    ofMachine,
  );
  const dropped = counter(
    'lcow_agent_virtual_machine_log_lines_dropped_total',
    'Lines of a guest since it was last started that were not kept for the operator.',
    ofMachine,
  );
  const quarantined = counter('lcow_agent_journal_quarantined_total', 'Journal files that could not be read.');
  const internalErrors = counter(
    'lcow_agent_internal_errors_total',
    'Errors of the agent itself after which it began again with a VM.',
  );
  const failedChanges = counter(
    'lcow_agent_live_change_failures_total',
    'Attempts to change a running VM that failed.',
    ['reason'],
  );
  const failedQuestions = counter(
    'lcow_agent_statistics_failures_total',
    'Questions about the use of a VM that the compute service refused.',
  );

  const hnsFailures = counter(
    'lcow_agent_hns_failures_total',
    'Calls to the Host Networking Service that failed, or gave no answer in time.',
    ['reason'],
  );

  const writeMachine = ({ isAwaitingCall, linesDropped, name, namespace, phase, uid, usage }: MachineFigures) => {
    const labels = { namespace, name, uid };
    machines.inc({ phase });
    if (isAwaitingCall) draining.inc();
    dropped.inc(labels, linesDropped);
    if (usage.processorSeconds !== undefined) processor.inc(labels, usage.processorSeconds);
    if (usage.assignedMemoryBytes !== undefined) memory.set(labels, usage.assignedMemoryBytes);
  };

  return async (figures) => {
    registry.resetMetrics();
    info.set({ version: figures.version }, 1);
    resident.set(figures.residentBytes);
    draining.set(0);
    for (const each of figures.machines) writeMachine(each);
    quarantined.inc(figures.tally.quarantined);
    internalErrors.inc(figures.tally.internalErrors);
    for (const [reason, count] of figures.tally.failedChanges) failedChanges.inc({ reason }, count);
    for (const [reason, count] of figures.tally.hnsFailures) hnsFailures.inc({ reason }, count);
    failedQuestions.inc(figures.statisticsFailures);
    return { contentType: registry.contentType, text: await registry.metrics() };
  };
}
