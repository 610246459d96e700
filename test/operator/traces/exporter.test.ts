import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Collector, type CollectorAnswer, TraceExporter, traceBounds } from '../../../operator/traces/exporter.ts';
import type { Span } from '../../../operator/traces/span.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';

const hex = (digits: number) => z.string().regex(new RegExp(`^[0-9a-f]{${digits}}$`));
const attribute = z.strictObject({
  key: z.string(),
  value: z.union([z.strictObject({ stringValue: z.string() }), z.strictObject({ intValue: z.string() })]),
});
const attributes = z.array(attribute);
const scope = z.strictObject({ name: z.string(), version: z.string() });
const sentSpan = z.strictObject({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: hex(16).optional(),
  name: z.string(),
  kind: z.int().min(1).max(5),
  startTimeUnixNano: z.string().regex(/^\d+$/),
  endTimeUnixNano: z.string().regex(/^\d+$/),
  attributes,
});
/** The members of ExportTraceServiceRequest that we use (opentelemetry-proto 1.x, JSON Protobuf encoding). */
const request = z.strictObject({
  resourceSpans: z
    .array(
      z.strictObject({
        resource: z.strictObject({ attributes }),
        scopeSpans: z.array(z.strictObject({ scope, spans: z.array(sentSpan) })).length(1),
      }),
    )
    .length(1),
});

/** `silence`: no answer until the request is given up. */
type Scripted = CollectorAnswer | Error | 'silence';

class ScriptedCollector implements Collector {
  onAnswered = () => {};
  readonly requests: z.infer<typeof request>[] = [];
  readonly sizes: number[] = [];
  closed = false;
  readonly #answers: Scripted[];

  constructor(...answers: readonly Scripted[]) {
    this.#answers = [...answers];
  }

  post(body: string, signal: AbortSignal): Promise<CollectorAnswer> {
    this.requests.push(request.parse(JSON.parse(body)));
    this.sizes.push(body.length);
    const answer = this.#answers.shift() ?? { status: 200, text: '{}' };
    this.onAnswered();
    if (signal.aborted) return Promise.reject(signal.reason);
    if (answer === 'silence') {
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  get spans() {
    return this.requests.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    );
  }
}

function bed(...answers: readonly Scripted[]) {
  const [clock, collector] = [new FakeClock(), new ScriptedCollector(...answers)];
  const told: string[] = [];
  const observer = {
    exported: (trees: number) => void told.push(`${trees} exported`),
    dropped: (trees: number, why: string) => void told.push(`${trees} dropped: ${why}`),
  };
  const origin = { version: '1.2.3', replica: 'operator-1' };
  const exporter = new TraceExporter({ collector, observer, clock, random: () => 1, randomUUID, ...origin });
  /** Lets the exporter work until it waits for the clock, then lets this time pass. */
  const pass = async (milliseconds: number) => {
    await settled();
    clock.advance(milliseconds);
    await settled();
  };
  return { clock, collector, exporter, pass, told };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

const span = (name: string, attributes: Span['attributes'] = {}): Span => ({
  name,
  start: 1_000,
  end: 2_000.4,
  attributes,
  parts: [{ name: 'part', start: 1_000, end: 1_500, attributes: {}, parts: [] }],
});

describe('the exporter of traces', () => {
  it('gathers trees for some seconds, and sends each with ids of its own', async () => {
    const { collector, exporter, pass, told } = bed();
    exporter.add(span('boot', { 'lcow.vm.name': 'a', restarts: 2 }));
    exporter.add(span('rollout'));
    await pass(traceBounds.gather - 1);
    expect(collector.requests).toEqual([]);
    await pass(1);
    expect(told).toEqual(['2 exported']);
    const [boot, part, rollout] = collector.spans;
    expect(boot).toMatchObject({
      name: 'boot',
      startTimeUnixNano: '1000000000',
      endTimeUnixNano: '2000000000',
      attributes: [
        { key: 'lcow.vm.name', value: { stringValue: 'a' } },
        { key: 'restarts', value: { intValue: '2' } },
      ],
    });
    expect(part).toMatchObject({ name: 'part', traceId: boot?.traceId, parentSpanId: boot?.spanId });
    expect(boot?.parentSpanId).toBeUndefined();
    expect(rollout?.traceId).not.toBe(boot?.traceId);
    const resource = collector.requests[0]?.resourceSpans[0]?.resource.attributes;
    expect(resource).toContainEqual({ key: 'service.name', value: { stringValue: 'lcow-operator' } });
    expect(resource).toContainEqual({ key: 'service.instance.id', value: { stringValue: 'operator-1' } });
  });

  it('divides what waits into requests of bounded size', async () => {
    const { collector, exporter, pass, told } = bed();
    for (let index = 0; index < 10; index += 1) exporter.add(span('boot', { long: 'x'.repeat(60_000) }));
    await pass(traceBounds.gather);
    expect(collector.sizes).toHaveLength(3);
    expect(Math.max(...collector.sizes)).toBeLessThan(traceBounds.request + 1_000);
    expect(told).toEqual(['4 exported', '4 exported', '2 exported']);
  });

  it('keeps no more than its bound, and counts what it drops', async () => {
    const { collector, exporter, told } = bed();
    for (let index = 0; index < 50; index += 1) exporter.add(span('boot', { long: 'x'.repeat(100_000) }));
    const fitting = Math.floor(traceBounds.queue / 100_600);
    expect(told).toEqual(Array(50 - fitting).fill('1 dropped: overflow'));
    await exporter.close();
    expect(collector.spans).toHaveLength(2 * fitting);
  });

  it.each([
    ['is busy', { status: 503, text: '' }],
    ['limits requests', { status: 429, text: '' }],
    ['does not answer', new Error('connect ECONNREFUSED')],
  ])('tries again when the collector %s', async (_, answer) => {
    const { collector, exporter, pass, told } = bed(answer, answer);
    exporter.add(span('boot'));
    await pass(traceBounds.gather);
    await pass(traceBounds.firstPause);
    expect(told).toEqual([]);
    await pass(2 * traceBounds.firstPause);
    expect(collector.requests).toHaveLength(3);
    expect(told).toEqual(['1 exported']);
  });

  it('gives up after some attempts, and goes on with the next trees', async () => {
    const { collector, exporter, pass, told } = bed(...Array(traceBounds.attempts).fill(new Error('no route')));
    exporter.add(span('boot'));
    await pass(traceBounds.gather);
    exporter.add(span('rollout'));
    for (let attempt = 1; attempt <= traceBounds.attempts; attempt += 1) await pass(traceBounds.lastPause);
    expect(told).toEqual(['1 dropped: unreachable', '1 exported']);
    expect(collector.requests).toHaveLength(traceBounds.attempts + 1);
  });

  it('does not repeat what the collector refuses', async () => {
    const partly = '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}';
    const { exporter, pass, told } = bed({ status: 400, text: 'no' }, { status: 200, text: partly });
    exporter.add(span('boot'));
    await pass(traceBounds.gather);
    exporter.add(span('boot'));
    await pass(traceBounds.gather);
    expect(told).toEqual(['1 dropped: refused', '1 dropped: refused']);
  });

  it.each(Array.from({ length: 20 }, (_, steps) => steps))(
    'sends a tree that is added %i steps of promises after the answer for the last one',
    async (steps) => {
      const { collector, exporter, pass, told } = bed();
      collector.onAnswered = () => {
        collector.onAnswered = () => undefined;
        void later(steps).then(() => exporter.add(span('rollout')));
      };
      exporter.add(span('boot'));
      await pass(traceBounds.gather);
      await pass(traceBounds.gather);
      expect(told).toEqual(['1 exported', '1 exported']);
    },
  );

  it('sends what waits when the program ends', async () => {
    const { exporter, told } = bed();
    exporter.add(span('boot'));
    await exporter.close();
    expect(told).toEqual(['1 exported']);
    exporter.add(span('boot'));
    expect(told.at(-1)).toBe('1 dropped: overflow');
  });

  it.each([
    ['is dead', new Error('no route')],
    ['never answers', 'silence'],
  ] as const)('ends within its bound although the collector %s', async (_, answer) => {
    const { collector, exporter, pass, told } = bed(...Array<Scripted>(8).fill(answer));
    for (let index = 0; index < 10; index += 1) exporter.add(span('boot', { long: 'x'.repeat(60_000) }));
    // With a request under way.
    await pass(traceBounds.gather);
    const closed = exporter.close();
    await pass(traceBounds.end);
    await closed;
    expect(told).toEqual(['4 dropped: unreachable', '4 dropped: unreachable', '2 dropped: unreachable']);
    expect(collector.closed).toBe(true);
  });
});

/** Some steps of promises later. */
async function later(steps: number): Promise<void> {
  for (let step = 0; step < steps; step += 1) await Promise.resolve();
}
