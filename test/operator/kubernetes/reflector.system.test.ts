import { afterEach, describe, expect, it } from 'vitest';
import type { ApiError } from '../../../operator/kubernetes/api-error.ts';
import { plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { type Change, Reflector } from '../../../operator/kubernetes/reflector.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { until } from '../../support/operator/fixture.ts';
import {
  type Answer,
  bookmark,
  brokenWatch,
  endingWatch,
  event,
  hangingWatch,
  listOf,
  object,
  ScriptedApiServer,
  status,
} from '../../support/operator/scripted-api-server.ts';

/** Pauses are a hundred times as short. */
const hastyClock: Clock = {
  now: systemClock.now,
  after: (milliseconds, task) => systemClock.after(milliseconds / 100, task),
};

interface Watched {
  readonly server: ScriptedApiServer;
  readonly reflector: Reflector<VirtualMachine>;
  readonly changes: string[];
  readonly failures: ApiError[];
  readonly unexpected: string[];
  /** Milliseconds that the reflector waited. */
  readonly pauses: number[];
}

const running: Watched[] = [];

afterEach(async () => {
  for (const { reflector, server } of running.splice(0)) {
    await reflector.stop();
    await server.stop();
  }
});

async function follow(
  script: readonly Answer[],
  onChange?: (change: Change<VirtualMachine>) => void,
): Promise<Watched> {
  const server = new ScriptedApiServer(script);
  await server.start();
  const http = new KubeHttp({
    access: plainAccess(server.url),
    clock: hastyClock,
    random: () => 0.5,
    version: '1.2.3',
  });
  const changes: string[] = [];
  const failures: ApiError[] = [];
  const unexpected: string[] = [];
  const pauses: number[] = [];
  const after: Clock['after'] = (milliseconds, task) => {
    pauses.push(milliseconds);
    return hastyClock.after(milliseconds, task);
  };
  const reflector = new Reflector<VirtualMachine>({
    http,
    path: '/apis/lcow.dev/v1alpha1/linuxutilityvms',
    clock: { ...hastyClock, after },
    random: () => 0.5,
    parse: parseVirtualMachine,
    observer: {
      failed: (_path, error) => failures.push(error),
      listed: () => {},
      unexpected: (_path, what) => unexpected.push(what),
    },
  });
  if (onChange !== undefined) reflector.onChange(onChange);
  reflector.onChange(({ type, key, object: { metadata } }) =>
    changes.push(`${type} ${key} ${metadata.resourceVersion}`),
  );
  reflector.start();
  const watched = { server, reflector, changes, failures, unexpected, pauses };
  running.push(watched);
  return watched;
}

const names = ({ reflector }: Watched) => [...reflector.values()].map(({ metadata }) => metadata.name).sort();

describe('reflector', () => {
  it('reports while the API server does not know its kind, and keeps what it knows', async () => {
    const unknown = Array.from({ length: 6 }, () => status(404, 'NotFound'));
    const again = [listOf([], '11'), hangingWatch([event('MODIFIED', object('a', '12'))])];
    const watched = await follow([
      listOf([object('a', '1')], '10'),
      status(500, 'InternalError'),
      ...unknown,
      ...again,
    ]);
    await until(() => watched.reflector.hasSynced);
    await until(() => !watched.reflector.isServed);
    expect(watched.failures[0]?.code).toBe(500);
    expect(names(watched)).toEqual(['a']);
    await until(() => watched.changes.length === 2);
    expect(watched.reflector.isServed).toBe(true);
  });

  it('lists page by page, then watches from there with bookmarks and its own timeout', async () => {
    const watched = await follow([
      listOf([object('a', '1')], '10', 'page-2'),
      listOf([object('b', '2')], '10'),
      hangingWatch([
        event('ADDED', object('c', '11')),
        event('MODIFIED', object('a', '12')),
        event('DELETED', object('b', '13')),
      ]),
    ]);
    await until(() => watched.changes.length === 5);
    expect(watched.changes).toEqual([
      'Applied default/a 1',
      'Applied default/b 2',
      'Applied default/c 11',
      'Applied default/a 12',
      'Deleted default/b 13',
    ]);
    expect(names(watched)).toEqual(['a', 'c']);
    expect(watched.server.lists[1]?.searchParams.get('continue')).toBe('page-2');
    const query = watched.server.watches[0]?.searchParams;
    expect(query?.get('resourceVersion')).toBe('10');
    expect(query?.get('allowWatchBookmarks')).toBe('true');
    expect(Number(query?.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300);
    expect(watched.server.requests[0]?.headers['user-agent']).toBe('lcow-operator/1.2.3');
    expect(watched.reflector.get('default/a')?.metadata).not.toHaveProperty('managedFields');
  });

  it('continues from the last bookmark after the server ends a watch', async () => {
    const watched = await follow([listOf([], '10'), endingWatch([bookmark('77')])]);
    await until(() => watched.server.watches.length === 2);
    expect(watched.server.watches[1]?.searchParams.get('resourceVersion')).toBe('77');
    expect(watched.server.lists).toHaveLength(1);
  });

  it.each([
    ['as HTTP status', status(410, 'Expired')],
    ['as event', endingWatch([event('ERROR', { code: 410, reason: 'Expired', message: 'too old' })])],
  ])('lists again on 410 %s, keeps what it has until then, and reports deletions', async (_name, gone) => {
    const gate = Promise.withResolvers<void>();
    const watched = await follow([
      listOf([object('a', '1'), object('b', '2')], '10'),
      gone,
      (request, response) =>
        void gate.promise.then(() => listOf([object('b', '2'), object('c', '20')], '30')(request, response)),
    ]);
    await until(() => watched.server.lists.length === 2);
    expect(names(watched)).toEqual(['a', 'b']);
    expect(watched.reflector.hasSynced).toBe(true);
    gate.resolve();
    await until(() => watched.server.watches.length === 2);
    expect(watched.changes.slice(2)).toEqual(['Applied default/c 20', 'Deleted default/a 1']);
  });

  it('keeps trying when list and watch fail, with growing pauses', async () => {
    const failing = Array.from({ length: 7 }, () => status(500, 'InternalError'));
    const watched = await follow([
      ...failing,
      listOf([object('a', '1')], '10'),
      status(503, 'ServiceUnavailable'),
      status(429, 'TooManyRequests', { 'retry-after': '1' }),
      hangingWatch([event('ADDED', object('b', '11'))]),
    ]);
    await until(() => names(watched).length === 2);
    expect(watched.failures.map(({ code }) => code)).toEqual([500, 503, 429]);
    expect(watched.failures[2]?.retryAfterMilliseconds).toBe(1_000);
    expect(watched.server.lists).toHaveLength(8);
  });

  it('waits at most some seconds for a server that is away, and no longer once the server answers', async () => {
    const away: Answer = (_request, response) => response.destroy();
    const watched = await follow([
      listOf([object('a', '1')], '10'),
      ...Array.from({ length: 8 }, () => away),
      status(410, 'Expired'),
      listOf([object('a', '2')], '20'),
    ]);
    await until(() => watched.server.watches.length === 10);
    expect(watched.changes).toEqual(['Applied default/a 1', 'Applied default/a 2']);
    expect(watched.pauses).toEqual([600, 1_200, 2_400, 4_800, 7_500, 7_500, 7_500, 7_500, 600]);
  });

  it('loses no event when a connection breaks in the middle', async () => {
    const whole = event('ADDED', object('a', '11'));
    const watched = await follow([
      listOf([], '10'),
      brokenWatch(whole + event('ADDED', object('b', '12')).slice(0, 30)),
      hangingWatch([event('ADDED', object('b', '12'))]),
    ]);
    await until(() => names(watched).length === 2);
    expect(watched.server.watches[1]?.searchParams.get('resourceVersion')).toBe('11');
    expect(watched.changes).toEqual(['Applied default/a 11', 'Applied default/b 12']);
  });

  it('survives a handler that throws, calls the other handlers, and continues after that event', async () => {
    const watched = await follow([listOf([], '10'), endingWatch([event('ADDED', object('a', '11'))])], () => {
      throw new Error('boom');
    });
    await until(() => watched.server.watches.length === 2);
    expect(watched.unexpected).toEqual(['handler_error']);
    expect(watched.changes).toEqual(['Applied default/a 11']);
    expect(watched.server.watches[1]?.searchParams.get('resourceVersion')).toBe('11');
  });

  it('counts an invalid object, and accepts the others', async () => {
    const watched = await follow([listOf([{ spec: {} }, object('a', '1')], '10')]);
    await until(() => names(watched).length === 1);
    expect(watched.unexpected).toEqual(['unparsable_object']);
  });

  it('accepts no list that is older than what it knows, unless every list is, as after a restore', async () => {
    const stale = listOf([object('a', '1')], '5');
    const known = [listOf([object('a', '7'), object('b', '8')], '10'), status(410, 'Expired')];
    const behind = await follow([...known, stale, listOf([object('a', '7'), object('b', '8')], '13')]);
    await until(() => behind.server.watches.length === 2);
    expect(behind.failures.map(({ reason }) => reason)).toEqual(['Expired', 'StaleList']);
    expect(behind.changes).toEqual(['Applied default/a 7', 'Applied default/b 8']);
    const restored = await follow([...known, ...Array.from({ length: 6 }, () => stale)]);
    await until(() => restored.server.watches.length === 2);
    expect(restored.changes.slice(2)).toEqual(['Applied default/a 1', 'Deleted default/b 8']);
  });

  it('checks the version of a server that was away, and lists again when it went back', async () => {
    const broken = brokenWatch(event('MODIFIED', object('a', '11')));
    const same = await follow([listOf([object('a', '7')], '10'), broken]);
    await until(() => same.server.watches.length === 2);
    expect([same.server.looks, same.server.lists.length]).toEqual([1, 1]);

    // A watch from the known version would deliver nothing until the cluster reaches that version again.
    const backup = listOf([object('a', '7'), object('b', '3')], '9');
    const restored = await follow([
      listOf([object('a', '7')], '10'),
      broken,
      ...Array.from({ length: 6 }, () => backup),
    ]);
    restored.server.version = '9';
    await until(() => restored.server.watches.length === 2);
    expect(restored.changes.slice(2)).toEqual(['Applied default/a 7', 'Applied default/b 3']);
    expect(restored.server.watches[1]?.searchParams.get('resourceVersion')).toBe('9');
  });

  it('accepts the next list, however old, once a live read showed that the cluster was restored', async () => {
    const watched = await follow([listOf([object('a', '7')], '10'), hangingWatch([]), listOf([object('a', '3')], '5')]);
    const outranked: unknown[] = [];
    watched.reflector.onChange((change) => change.type === 'Applied' && outranked.push(change.outranks));
    await until(() => watched.server.watches.length === 1);
    watched.reflector.distrust();
    await until(() => watched.server.watches.length === 2);
    expect(watched.changes).toEqual(['Applied default/a 7', 'Applied default/a 3']);
    expect(outranked).toEqual([{ until: '10' }, 'All']);
  });

  it('reports the end of an object before its successor of the same name', async () => {
    const watched = await follow([
      listOf([object('a', '1', 'first')], '10'),
      status(410, 'Expired'),
      listOf([object('a', '20', 'second')], '30'),
    ]);
    await until(() => watched.changes.length === 3);
    expect(watched.changes).toEqual(['Applied default/a 1', 'Deleted default/a 1', 'Applied default/a 20']);
  });

  it('does not repeat a watch in a tight loop when it ends at once', async () => {
    const endings = Array.from({ length: 6 }, () => endingWatch([]));
    const watched = await follow([listOf([], '10'), ...endings, hangingWatch([event('ADDED', object('a', '11'))])]);
    await until(() => names(watched).length === 1);
    expect(watched.failures).toHaveLength(6);
  });

  it('stops during a list, and opens nothing afterwards', async () => {
    const watched = await follow([() => {}]);
    await until(() => watched.server.requests.length === 1);
    await watched.reflector.stop();
    expect(watched.server.requests).toHaveLength(1);
  });
});
