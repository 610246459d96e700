import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import type { LinuxUtilityVMStatus } from '../../../crds/linux-utility-vm.ts';
import { LifecycleMetrics } from '../../../operator/metrics/lifecycle.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const creationTimestamp = '2026-01-01T00:00:00Z';
const machine = (status: LinuxUtilityVMStatus) => makeMachine({ metadata: { creationTimestamp }, status });
const ready = (status: 'True' | 'False', reason: string): LinuxUtilityVMStatus['conditions'] => [
  { type: 'Ready', status, reason, message: '', lastTransitionTime: creationTimestamp },
];

it('metrics count phases, boots, the time to Ready and failures by known reasons from written statuses', async () => {
  const registry = new Registry();
  const metrics = new LifecycleMetrics(registry);
  const scheduled = machine({ phase: 'Scheduled', conditions: ready('False', 'Preparing') });
  const failed = machine({ phase: 'Failed', conditions: ready('False', 'BootTimeout'), startFailure: { count: 2 } });
  const odd = machine({ phase: 'Failed', conditions: ready('False', 'FromTheFuture'), startFailure: { count: 3 } });
  const running = machine({
    phase: 'Running',
    startTime: '2026-01-01T00:00:03Z',
    conditions: ready('True', 'Running'),
    bootTimings: { prepared: '2026-01-01T00:00:01Z', created: '2026-01-01T00:00:02Z', started: '2026-01-01T00:00:03Z' },
  });
  const now = Date.parse('2026-01-01T00:00:04Z');
  metrics.written(scheduled, failed, now);
  metrics.written(failed, odd, now);
  metrics.written(odd, running, now);
  metrics.written(running, running, now);
  const text = await registry.metrics();
  expect(text).toContain('lcow_phase_transitions_total{from="Scheduled",to="Failed"} 1');
  expect(text).toContain('lcow_phase_transitions_total{from="Failed",to="Running"} 1');
  expect(text).toContain('lcow_start_failures_total{reason="BootTimeout"} 2');
  expect(text).toContain('lcow_start_failures_total{reason="Other"} 1');
  expect(text).toContain('lcow_ready_seconds_sum 4');
  expect(text).toContain('lcow_ready_seconds_count 1');
  expect(text).toContain('lcow_boot_phase_seconds_sum{phase="created"} 1');
  expect(text).toContain('lcow_boot_phase_seconds_count{phase="started"} 1');
});
