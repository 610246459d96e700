// Metrics (names `lcow_*`, `workqueue_*`, `rest_client_*`), and the log of events that should not happen: each such
// path has a label value of one counter, so that nothing is dropped silently.
import type { Logger } from 'pino';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../../runtime/clock.ts';
import type { AgentObserver, UnexpectedFromAgent } from '../agents/session-ports.ts';
import type { ControllersObserver } from '../controller/controllers.ts';
import type { ApiError } from '../kubernetes/api-error.ts';
import type { EventObserver, EventRecord } from '../kubernetes/events.ts';
import type { MachineSet, VirtualMachine } from '../kubernetes/objects.ts';
import type { ReflectorObserver } from '../kubernetes/reflector.ts';
import type { StreamCounts } from '../subresources/stream-counts.ts';
import { bootSpan } from '../traces/boot.ts';
import { rolloutSpan } from '../traces/rollout.ts';
import type { Span } from '../traces/span.ts';
import { LifecycleMetrics } from './lifecycle.ts';
import { SetMetrics } from './sets.ts';
import { registerStreamMetrics } from './streams.ts';
import { TraceMetrics } from './traces.ts';

/** Values that are read during a scrape. */
export interface MetricSources {
  readonly virtualMachines: () => Iterable<VirtualMachine>;
  readonly sets: () => Iterable<MachineSet>;
  readonly sessions: () => number;
  readonly queueDepths: () => ReadonlyMap<string, number>;
  /** Whether this replica may write. */
  readonly leads: () => boolean;
  /** Streams between users and VMs. */
  readonly streams: StreamCounts;
}

/** Takes the spans of what was written. */
export type TraceSink = (tree: Span) => void;

const seconds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30];

export class Metrics implements ControllersObserver, ReflectorObserver, AgentObserver {
  readonly registry = new Registry();
  readonly traces: TraceMetrics;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #registers = [this.registry];
  readonly #lifecycle = new LifecycleMetrics(this.registry);
  readonly #sets: SetMetrics;
  readonly #traced: TraceSink | undefined;

  readonly #messages = this.#counter('lcow_agent_messages_total', 'Messages to and from agents.', [
    'direction',
    'type',
  ]);
  readonly #statusWrites = this.#counter('lcow_status_writes_total', 'Status writes of LinuxUtilityVMs.');
  readonly #conflicts = this.#counter('lcow_status_conflicts_total', 'Status writes that somebody else was ahead of.');
  readonly #eventsDropped = this.#counter('lcow_events_dropped_total', 'Events that could not be recorded.', ['why']);
  readonly #misplaced = this.#counter(
    'lcow_foreign_virtual_machines_total',
    'VMs that an agent had to give up because their objects do not put them there.',
  );
  readonly #unexpected = this.#counter('lcow_unexpected_total', 'What should not happen.', ['what']);
  readonly #requests = this.#counter('rest_client_requests_total', 'Requests to the API server; code 0 is no answer.', [
    'method',
    'code',
  ]);
  readonly #leaseFailures = this.#counter('lcow_lease_failures_total', 'Requests about the Lease that failed.', [
    'reason',
  ]);
  readonly #certificateFailures = this.#counter(
    'lcow_certificate_failures_total',
    'Looks after the serving certificate that failed.',
  );
  readonly #lists = this.#counter('reflector_lists_total', 'Complete lists.', ['path']);
  readonly #watchFailures = this.#counter('reflector_failures_total', 'Lists and watches that failed.', [
    'path',
    'reason',
  ]);
  readonly #adds = this.#counter('workqueue_adds_total', 'Keys added.', ['name']);
  readonly #retries = this.#counter('workqueue_retries_total', 'Keys that failed and are tried again.', ['name']);
  readonly #waited = this.#histogram('workqueue_queue_duration_seconds', 'How long keys wait.');
  readonly #worked = this.#histogram('workqueue_work_duration_seconds', 'How long keys are worked on.');

  constructor(logger: Logger, clock: Clock, version: string, sources: MetricSources, traced?: TraceSink) {
    this.#traced = traced;
    this.traces = new TraceMetrics(this.registry, logger);
    this.#logger = logger;
    this.#clock = clock;
    const registers = this.#registers;
    registerStreamMetrics(this.registry, sources.streams);
    this.#sets = new SetMetrics(this.registry, sources.sets);
    new Gauge({ name: 'lcow_build_info', help: 'Version of the operator.', labelNames: ['version'], registers }).set(
      { version },
      1,
    );
    new Gauge({
      name: 'lcow_leader',
      help: '1 while this replica leads and may write.',
      registers,
      collect() {
        this.set(sources.leads() ? 1 : 0);
      },
    });
    new Gauge({
      name: 'lcow_agent_sessions',
      help: 'Agents that are connected.',
      registers,
      collect() {
        this.set(sources.sessions());
      },
    });
    new Gauge({
      name: 'workqueue_depth',
      help: 'Keys that wait.',
      labelNames: ['name'],
      registers,
      collect() {
        for (const [name, depth] of sources.queueDepths()) this.set({ name }, depth);
      },
    });
    new Gauge({
      name: 'lcow_virtual_machines',
      help: 'LinuxUtilityVMs by phase and node.',
      labelNames: ['phase', 'node'],
      registers,
      collect() {
        this.reset();
        for (const { status } of sources.virtualMachines()) {
          this.inc({ phase: status.phase ?? 'Pending', node: status.nodeName ?? '' });
        }
      },
    });
  }

  /** Adds the metrics of the process itself, such as its memory. They keep looking at the event loop from now on. */
  collectProcessMetrics(): void {
    collectDefaultMetrics({ register: this.registry });
  }

  // --- agents ---------------------------------------------------------------------------------------------------------

  received(type: string): void {
    this.#messages.inc({ direction: 'received', type });
  }

  sent(type: string): void {
    this.#messages.inc({ direction: 'sent', type });
  }

  /** The session itself logs the misbehaviour, within bounds. */
  misbehaved(what: UnexpectedFromAgent): void {
    this.#unexpected.inc({ what: `agent_${what}` });
  }

  misplaced(host: string, uid: string): void {
    this.#misplaced.inc();
    this.#logger.warn({ host, uid }, 'a host has a VM that its object does not place there; the agent must remove it');
  }

  // --- status, events, queues -----------------------------------------------------------------------------------------

  statusWritten(before: VirtualMachine, after: VirtualMachine): void {
    const { metadata, status } = after;
    this.#statusWrites.inc();
    this.#lifecycle.written(before, after, this.#clock.now());
    this.#sets.machineWritten(before, after);
    const boot = this.#traced && bootSpan(before, after);
    if (boot !== undefined) this.#traced?.(boot);
    this.#logger.info({ uid: metadata.uid, host: status.nodeName, phase: status.phase }, 'status written');
  }

  setWritten(before: MachineSet, after: MachineSet): void {
    const { metadata, status } = after;
    const rollout = this.#sets.written(before, after, this.#clock.now());
    if (rollout !== undefined) this.#traced?.(rolloutSpan(after, rollout));
    const { replicas, updatedReplicas, availableReplicas } = status;
    this.#logger.info(
      { set: metadata.name, uid: metadata.uid, replicas, updatedReplicas, availableReplicas },
      'status of a set written',
    );
  }

  conflict(vm: string): void {
    this.#conflicts.inc();
    this.#logger.debug({ vm }, 'conflict');
  }

  dropped(record: EventRecord, why: Parameters<EventObserver['dropped']>[1]): void {
    const label = typeof why === 'string' ? why : why.reason;
    this.#eventsDropped.inc({ why: label });
    const line = { uid: record.regarding.metadata.uid, reason: record.reason, why };
    // An object that causes Events without end must not fill the log.
    if (why === 'rate_limited') this.#logger.debug(line, 'an Event was dropped');
    else this.#logger.warn(line, 'an Event was dropped');
  }

  added(name: string): void {
    this.#adds.inc({ name });
  }

  started(name: string, waitedMilliseconds: number): void {
    this.#waited.observe({ name }, waitedMilliseconds / 1000);
  }

  finished(name: string, workedMilliseconds: number): void {
    this.#worked.observe({ name }, workedMilliseconds / 1000);
  }

  retried(name: string, key: string, error: unknown): void {
    this.#retries.inc({ name });
    this.#logger.warn(
      { queue: name, key, error: error instanceof Error ? error.stack : error },
      'a pass failed and is repeated later',
    );
  }

  overflowed(name: string): void {
    this.unexpected(name, 'queue_overflow', undefined);
  }

  /** The certificate in use stays until it expires. */
  certificatesFailed(error: string): void {
    this.#certificateFailures.inc();
    this.#logger.warn({ error }, 'the certificates could not be checked or renewed');
  }

  // --- leadership -----------------------------------------------------------------------------------------------------

  /** A request about the Lease failed. */
  leaseFailed(error: ApiError): void {
    this.#leaseFailures.inc({ reason: error.reason });
    this.#logger.warn({ code: error.code, reason: error.reason, error: error.message }, 'the Lease could not be kept');
  }

  // --- API server -----------------------------------------------------------------------------------------------------

  request(method: string, code: number): void {
    this.#requests.inc({ method, code });
  }

  failed(path: string, error: ApiError): void {
    this.#watchFailures.inc({ path, reason: error.reason });
    this.#logger.warn({ path, code: error.code, reason: error.reason, error: error.message }, 'list or watch failed');
  }

  listed(path: string, count: number): void {
    this.#lists.inc({ path });
    this.#logger.info({ path, count }, 'listed');
  }

  unexpected(where: string, what: string, error: unknown): void {
    this.#unexpected.inc({ what });
    this.#logger.error({ where, what, error: error instanceof Error ? error.stack : error }, 'this should not happen');
  }

  #counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name, help, labelNames, registers: this.#registers });
  }

  #histogram(name: string, help: string): Histogram<'name'> {
    return new Histogram({ name, help, labelNames: ['name'], buckets: seconds, registers: this.#registers });
  }
}
