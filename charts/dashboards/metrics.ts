// The metrics of operator and agents, as their registries have them.
import { pino } from 'pino';
import { metricsWriter } from '../../agent/metrics/registry.ts';
import { AgentTally } from '../../agent/metrics/tally.ts';
import { Metrics } from '../../operator/metrics/metrics.ts';
import { StreamCounts } from '../../operator/subresources/stream-counts.ts';
import { systemClock } from '../../runtime/clock.ts';

/** Name of a metric to its help. */
export type MetricHelps = ReadonlyMap<string, string>;

export async function readMetrics(): Promise<MetricHelps> {
  const texts = await Promise.all([operatorText(), agentText()]);
  const found = texts.flatMap((text) => [...text.matchAll(/^# HELP (\S+) (.*)$/gm)]);
  return new Map(found.map(([, name = '', help = '']) => [name, help]));
}

function operatorText(): Promise<string> {
  const sources = {
    virtualMachines: () => [],
    sets: () => [],
    sessions: () => 0,
    queueDepths: () => new Map(),
    leads: () => false,
    streams: new StreamCounts(),
  };
  const metrics = new Metrics(pino({ level: 'silent' }), systemClock, '', sources);
  metrics.collectProcessMetrics();
  return metrics.registry.metrics();
}

async function agentText(): Promise<string> {
  const figures = { version: '', machines: [], tally: new AgentTally(), statisticsFailures: 0, residentBytes: 0 };
  return (await metricsWriter()(figures)).text;
}
