// What the operator sends, as an OpenTelemetry collector reads it.
import { randomUUID } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import { bootSpan } from '../../../operator/traces/boot.ts';
import { TraceExporter } from '../../../operator/traces/exporter.ts';
import { HttpCollector } from '../../../operator/traces/http-collector.ts';
import { rolloutSpan } from '../../../operator/traces/rollout.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { collector as program } from '../../support/charts/judges.ts';
import { makeMachine, makeSet } from '../../support/operator/objects.ts';
import { RealCollector } from './real-collector.ts';

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

beforeAll(() => program.path(), 900_000);

it('a collector reads the traces of a boot and of a rollout, and takes them all', async () => {
  await using collector = await RealCollector.start();
  const dropped: string[] = [];
  const exporter = new TraceExporter({
    collector: new HttpCollector({ endpoint: new URL(await collector.url()), tokenFile: undefined }),
    observer: { exported: () => undefined, dropped: (_trees, why, error) => dropped.push(`${why}: ${error}`) },
    ...{ clock: systemClock, random: Math.random, randomUUID, version: '1.2.3', replica: 'operator-1' },
  });
  const bootTimings = { prepared: at(2), created: at(3), started: at(4), guestConnected: at(6) };
  const machine = makeMachine({ status: {}, metadata: { name: 'web-0', creationTimestamp: at(0) } });
  const status = { phase: 'Running', nodeName: 'win-1', startTime: at(6), bootTimings } as const;
  const boot = bootSpan(machine, { ...machine, status });
  if (boot === undefined) throw new Error('no boot');
  const set = makeSet('web', { status: { updateRevision: 'web-1a', replicas: 3 } });
  exporter.add(boot);
  exporter.add(rolloutSpan(set, { began: Date.parse(at(0)), ended: Date.parse(at(9)) }));
  await exporter.close();
  await collector.until(/lcow.set.replicas: Int.3.$/m);
  expect(dropped).toEqual([]);
  const { log } = collector;
  const names = [...log.matchAll(/^ +Name +: (.*)$/gm)].map(([, name]) => name);
  expect(names).toEqual(['boot', 'create', 'start', 'guest', 'rollout']);
  const parents = [...log.matchAll(/Parent ID +: *(.*)/g)].map(([, parent]) => parent);
  const [, id] = /^ +ID +: (\w{16})$/m.exec(log) ?? [];
  expect(parents).toEqual(['', id, id, id, '']);
  expect(log).toContain('-> service.name: Str(lcow-operator)');
  expect(log).toContain('-> lcow.set.replicas: Int(3)');
  expect(log).toMatch(/Start time +: 2026-01-01 00:00:02 \+0000 UTC\n +End time +: 2026-01-01 00:00:06 \+0000 UTC/);
});
