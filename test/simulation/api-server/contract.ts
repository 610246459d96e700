// What the operator relies on of an API server. The simulated one and a real one must both pass.
import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  type ApiError,
  isAlreadyExists,
  isConflict,
  isGone,
  isNotFound,
  isUnservedKind,
  type Outcome,
} from '../../../operator/kubernetes/api-error.ts';
import { machineKind } from '../../../operator/kubernetes/caches.ts';
import type { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { LeaseClient } from '../../../operator/kubernetes/lease-client.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { Reflector } from '../../../operator/kubernetes/reflector.ts';
import { collectionPath, ResourceClient } from '../../../operator/kubernetes/resource-client.ts';
import { type Collection, isOlder, list, type WatchEvent, watch } from '../../../operator/kubernetes/watch.ts';
import { type Clock, delay } from '../../../runtime/clock.ts';

export interface ContractSubject {
  readonly http: KubeHttp;
  readonly clock: Clock;
  /** Nobody else uses it. */
  readonly namespace: string;
  /** A token that the server accepts for this audience, and its user. */
  readonly token: { readonly token: string; readonly audience: string; readonly username: string };
  /** In simulated time, time passes until the work is done. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

const storedObject = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    generation: z.number().optional(),
    creationTimestamp: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).optional(),
  }),
  spec: z.unknown().optional(),
  status: z.unknown().optional(),
});
type StoredObject = z.infer<typeof storedObject>;

const listed = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    continue: z.string().optional(),
    remainingItemCount: z.number().optional(),
  }),
  items: z.array(storedObject),
});

const merge = 'application/merge-patch+json';
const foreignFinalizer = 'example.com/kept';

/** What tests do with LinuxUtilityVMs. */
class Machines {
  readonly http: KubeHttp;
  readonly client: ResourceClient<VirtualMachine>;
  readonly path: string;
  readonly namespace: string;

  constructor({ http, namespace }: ContractSubject) {
    this.http = http;
    this.namespace = namespace;
    this.client = new ResourceClient(http, machineKind);
    this.path = collectionPath(machineKind, namespace);
  }

  create(name: string, members: object = {}, metadata: object = {}): Promise<StoredObject> {
    const { apiVersion, kind } = machineKind;
    const body = { apiVersion, kind, metadata: { name, ...metadata }, spec: {}, ...members };
    return this.#stored(this.http.request({ method: 'POST', path: this.path, body }));
  }

  get(name: string): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'GET', path: `${this.path}/${name}` });
  }

  /** Also of a subresource: `name/status`. */
  patch(name: string, body: object): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'PATCH', path: `${this.path}/${name}`, contentType: merge, body });
  }

  patched(name: string, body: object): Promise<StoredObject> {
    return this.#stored(this.patch(name, body));
  }

  replace(name: string, body: object): Promise<Outcome<unknown>> {
    return this.http.request({ method: 'PUT', path: `${this.path}/${name}`, body });
  }

  delete(name: string, options?: object): Promise<Outcome<unknown>> {
    const path = `${this.path}/${name}`;
    return this.http.request({ method: 'DELETE', path, ...(options !== undefined && { body: options }) });
  }

  async parsed(name: string): Promise<VirtualMachine> {
    const outcome = await this.client.get({ name, namespace: this.namespace });
    if (!outcome.ok) throw new Error(outcome.error.message);
    return outcome.value;
  }

  async page(query: Readonly<Record<string, string | number>>) {
    return listed.parse(accepted(await this.http.request({ method: 'GET', path: this.path, query })));
  }

  async removeAll(): Promise<void> {
    for (const { metadata } of (await this.page({})).items) {
      await this.delete(metadata.name);
      await this.patch(metadata.name, { metadata: { finalizers: null } });
    }
  }

  async #stored(outcome: Promise<Outcome<unknown>>): Promise<StoredObject> {
    return storedObject.parse(accepted(await outcome));
  }
}

function accepted<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.error.code} ${outcome.error.reason}: ${outcome.error.message}`);
  return outcome.value;
}

function refused(outcome: Outcome<unknown>): ApiError {
  if (outcome.ok) throw new Error(`was accepted: ${JSON.stringify(outcome.value)}`);
  return outcome.error;
}

const readiness = (status: 'True' | 'False') => ({
  type: 'Ready',
  status,
  reason: 'Testing',
  message: '',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

export function describeApiServer(name: string, subjectNow: () => ContractSubject): void {
  const run = (work: (machines: Machines, subject: ContractSubject) => Promise<void>) => {
    const subject = subjectNow();
    return subject.run(() => work(new Machines(subject), subject));
  };

  describe(name, () => {
    afterEach(() => run((machines) => machines.removeAll()));
    describeWrites(run);
    describeStatus(run);
    describeDeletion(run);
    describeReads(run);
    describeWatches(run);
    describeVersions(run);
    describeOtherKinds(run);
    describeReviews(run);
  });
}

type Run = (work: (machines: Machines, subject: ContractSubject) => Promise<void>) => Promise<void>;

function describeWrites(run: Run): void {
  test('a new object gets an identity, a generation and defaults, and no status or unknown field of its creator', () =>
    run(async (machines) => {
      const created = await machines.create('new', {
        spec: { processor: { count: 3, unknown: 1 } },
        status: { phase: 'Running' },
      });
      expect(created.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(created.metadata.generation).toBe(1);
      expect(created.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(created.spec).toEqual({
        memory: { sizeInMB: 1024 },
        processor: { count: 3 },
        runStrategy: 'Always',
        terminateOnAgentExit: true,
        updateStrategy: 'OnRestart',
      });
      expect(created.status).toEqual({ observedGeneration: 0 });
      expect(storedObject.parse(accepted(await machines.get('new')))).toEqual(created);
      const again = machines.http.request({
        method: 'POST',
        path: machines.path,
        body: { ...created, metadata: { name: 'new' } },
      });
      expect(isAlreadyExists(refused(await again))).toBe(true);
    }));

  test('a merge patch changes the version, and the generation only with the spec', () =>
    run(async (machines) => {
      const created = await machines.create('patched');
      const labelled = await machines.patched('patched', { metadata: { labels: { a: 'b' } } });
      expect(isOlder(created.metadata.resourceVersion, labelled.metadata.resourceVersion)).toBe(true);
      expect(labelled.metadata).toMatchObject({ uid: created.metadata.uid, generation: 1, labels: { a: 'b' } });
      const halted = await machines.patched('patched', { spec: { runStrategy: 'Halted' } });
      expect(halted.metadata.generation).toBe(2);
      const same = await machines.patched('patched', { spec: { runStrategy: 'Halted' } });
      expect(same).toEqual(halted);
      const cleared = await machines.patched('patched', { metadata: { labels: null }, spec: { runStrategy: null } });
      expect(cleared.metadata['labels']).toBeUndefined();
      expect(cleared.spec).toMatchObject({ runStrategy: 'Always' });
    }));

  test('a write that names another version or object is refused', () =>
    run(async (machines) => {
      const { metadata } = await machines.create('versioned');
      const { resourceVersion, uid } = (await machines.patched('versioned', { metadata: { labels: { a: 'b' } } }))
        .metadata;
      const labels = { c: 'd' };
      const late = { metadata: { resourceVersion: metadata.resourceVersion, labels } };
      expect(isConflict(refused(await machines.patch('versioned', late)))).toBe(true);
      const other = { metadata: { resourceVersion, uid: 'of-another-object', labels } };
      expect(refused(await machines.patch('versioned', other)).retryable).toBe(false);
      const { apiVersion, kind } = machineKind;
      const body = { apiVersion, kind, spec: {} };
      const replaced = (names: object) =>
        machines.replace('versioned', { ...body, metadata: { name: 'versioned', ...names } });
      expect(isConflict(refused(await replaced(late.metadata)))).toBe(true);
      expect(isConflict(refused(await replaced({ resourceVersion, uid: 'of-another-object' })))).toBe(true);
      expect(refused(await replaced({}))).toMatchObject({ code: 422, reason: 'Invalid' });
      expect((await replaced({ resourceVersion, uid })).ok).toBe(true);
    }));
}

function describeStatus(run: Run): void {
  test('the status is written through its subresource only, and nothing else is', () =>
    run(async (machines) => {
      const created = await machines.create('reported');
      const ignored = await machines.patched('reported', { status: { phase: 'Running' } });
      expect(ignored).toMatchObject({ spec: created.spec, status: created.status });
      const before = await machines.parsed('reported');
      const written = accepted(
        await machines.client.replaceStatus(before, { phase: 'Pending', observedGeneration: 1 }),
      );
      expect(written.status).toEqual({ phase: 'Pending', observedGeneration: 1 });
      expect(written.metadata.generation).toBe(1);
      expect(isOlder(before.metadata.resourceVersion, written.metadata.resourceVersion)).toBe(true);
      expect(isConflict(refused(await machines.client.replaceStatus(before, { phase: 'Running' })))).toBe(true);
      const patch = { spec: { runStrategy: 'Halted' }, metadata: { labels: { a: 'b' } }, status: { phase: 'Running' } };
      const patched = await machines.patched('reported/status', patch);
      expect(patched).toMatchObject({ spec: created.spec, status: { phase: 'Running', observedGeneration: 1 } });
      expect(patched.metadata.generation).toBe(1);
    }));

  test('a value that the schema does not allow is refused', () =>
    run(async (machines) => {
      await machines.create('strict');
      expect(refused(await machines.patch('strict', { spec: { runStrategy: 'Sometimes' } })).code).toBe(422);
      const twice = [readiness('True'), { ...readiness('False'), status: 'Maybe' }];
      expect(refused(await machines.patch('strict/status', { status: { conditions: twice } })).code).toBe(422);
    }));

  test('a VM that is placed cannot be moved', () =>
    run(async (machines) => {
      await machines.create('placed');
      await machines.patched('placed', { spec: { nodeName: 'one' } });
      await machines.patched('placed/status', { status: { nodeName: 'one' } });
      expect(refused(await machines.patch('placed', { spec: { nodeName: 'two' } })).code).toBe(422);
      expect((await machines.patch('placed', { spec: { runStrategy: 'Halted' } })).ok).toBe(true);
    }));
}

function describeDeletion(run: Run): void {
  test('an object without finalizers is gone at once', () =>
    run(async (machines) => {
      await machines.create('plain');
      expect((await machines.delete('plain')).ok).toBe(true);
      for (const outcome of [
        await machines.get('plain'),
        await machines.delete('plain'),
        await machines.patch('plain', {}),
        await machines.patch('plain/status', { status: {} }),
      ]) {
        expect(refused(outcome)).toMatchObject({ objectName: 'plain' });
        expect(isNotFound(refused(outcome))).toBe(true);
      }
    }));

  test('a finalizer keeps a deleted object until it is removed, and none can be added', () =>
    run(async (machines) => {
      const created = await machines.create('kept', {}, { finalizers: [foreignFinalizer] });
      await machines.delete('kept');
      const marked = storedObject.parse(accepted(await machines.get('kept')));
      expect(marked.metadata.deletionTimestamp).toMatch(/Z$/);
      expect(marked.metadata.generation).toBe(2);
      expect(isOlder(created.metadata.resourceVersion, marked.metadata.resourceVersion)).toBe(true);
      await machines.delete('kept');
      expect(storedObject.parse(accepted(await machines.get('kept')))).toEqual(marked);
      const more = { metadata: { finalizers: [foreignFinalizer, 'example.com/more'] } };
      expect(refused(await machines.patch('kept', more)).code).toBe(422);
      const before = await machines.parsed('kept');
      expect((await machines.client.replaceStatus(before, { phase: 'Stopping' })).ok).toBe(true);
      expect(isConflict(refused(await machines.client.patchFinalizers(before, [])))).toBe(true);
      expect((await machines.client.patchFinalizers(await machines.parsed('kept'), [])).ok).toBe(true);
      expect(isNotFound(refused(await machines.get('kept')))).toBe(true);
      const successor = await machines.create('kept');
      expect(successor.metadata.uid).not.toBe(created.metadata.uid);
    }));

  test('a deletion can be meant for one object only', () =>
    run(async (machines) => {
      const { metadata } = await machines.create('meant');
      const other = { preconditions: { uid: 'of-another-object' } };
      expect(isConflict(refused(await machines.delete('meant', other)))).toBe(true);
      expect((await machines.delete('meant', { preconditions: { uid: metadata.uid } })).ok).toBe(true);
    }));
}

function describeReads(run: Run): void {
  test('what does not exist and what is not served are different answers', () =>
    run(async (machines) => {
      expect(isNotFound(refused(await machines.get('absent')))).toBe(true);
      const unserved = await machines.http.request({ method: 'GET', path: '/apis/lcow.dev/v1alpha1/unknown' });
      expect(isUnservedKind(refused(unserved))).toBe(true);
    }));

  test('a list continues at the version at which it began, in the order of names', () =>
    run(async (machines) => {
      for (const name of ['d', 'b', 'a', 'c', 'e']) await machines.create(name);
      const first = await machines.page({ limit: 2 });
      expect(first.items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
      expect(first.metadata.remainingItemCount).toBe(3);
      await machines.create('between');
      await machines.delete('c');
      const second = await machines.page({ limit: 2, continue: first.metadata.continue ?? '' });
      expect(second.items.map(({ metadata }) => metadata.name)).toEqual(['c', 'd']);
      const third = await machines.page({ limit: 2, continue: second.metadata.continue ?? '' });
      expect(third.items.map(({ metadata }) => metadata.name)).toEqual(['e']);
      expect(third.metadata.continue ?? '').toBe('');
      for (const page of [second, third]) expect(page.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      const names: unknown[] = [];
      const { signal } = new AbortController();
      const version = await list(machines.http, machines, signal, (items) => {
        names.push(...items.map((item) => storedObject.parse(item).metadata.name));
      });
      expect(names).toEqual(['a', 'b', 'between', 'd', 'e']);
      expect(isOlder(first.metadata.resourceVersion, accepted(version))).toBe(true);
    }));
}

/** Watches for these seconds, while `work` is done. */
async function watched(
  { http, path, fieldSelector }: Collection & Pick<Machines, 'http'>,
  resourceVersion: string,
  timeoutSeconds: number,
  work: () => Promise<unknown> = () => Promise.resolve(),
): Promise<{ readonly events: readonly WatchEvent[]; readonly error: ApiError | undefined }> {
  const events: WatchEvent[] = [];
  const { signal } = new AbortController();
  const onEvent = (event: WatchEvent) => events.push(event);
  const silenceMilliseconds = 60_000;
  const [error] = await Promise.all([
    watch(http, { path, fieldSelector, resourceVersion, timeoutSeconds, silenceMilliseconds, signal, onEvent }),
    work(),
  ]);
  return { events, error };
}

function describeWatches(run: Run): void {
  test('a watch tells every change after its version, in order, and ends', () =>
    run(async (machines) => {
      await machines.create('before');
      const { resourceVersion } = (await machines.page({})).metadata;
      await machines.create('first', {}, { finalizers: [foreignFinalizer] });
      const { events, error } = await watched(machines, resourceVersion, 3, async () => {
        await machines.patched('first', { spec: { runStrategy: 'Halted' } });
        await machines.patched('first/status', { status: { phase: 'Stopped' } });
        await machines.delete('first');
        await machines.patch('first', { metadata: { finalizers: [] } });
        await machines.delete('before');
      });
      expect(error).toBeUndefined();
      const changes = events.filter((event) => event.type !== 'Bookmark');
      expect(changes.map(({ type, name }) => `${name} ${type}`)).toEqual([
        'first Applied',
        'first Applied',
        'first Applied',
        'first Applied',
        'first Deleted',
        'before Deleted',
      ]);
      for (const [index, { resourceVersion: version }] of events.entries()) {
        if (index > 0) expect(isOlder(version, events[index - 1]?.resourceVersion ?? '')).toBe(false);
      }
      expect(changes[4]?.object).toMatchObject({ status: { phase: 'Stopped' } });
      expect(changes[4]?.resourceVersion).not.toBe(changes[3]?.resourceVersion);
    }));

  test('a watch sends a bookmark before it ends', () =>
    run(async (machines) => {
      const { metadata } = await machines.create('before');
      const { events, error } = await watched(machines, metadata.resourceVersion, 4, () => machines.create('marked'));
      expect(error).toBeUndefined();
      const [applied, ...bookmarks] = events;
      expect(applied?.type).toBe('Applied');
      expect(bookmarks).not.toEqual([]);
      for (const { type, resourceVersion } of bookmarks) {
        expect(type).toBe('Bookmark');
        expect(isOlder(resourceVersion, applied?.resourceVersion ?? '')).toBe(false);
      }
    }));
}

function describeVersions(run: Run): void {
  test('a watch from a version that is too old is told so', () =>
    run(async (machines) => {
      const { events, error } = await watched(machines, '1', 3);
      expect(events).toEqual([]);
      expect(error !== undefined && isGone(error)).toBe(true);
    }));

  test('a watch from a version that does not exist yet says nothing', () =>
    run(async (machines) => {
      const { metadata } = await machines.create('early');
      const future = String(Number(metadata.resourceVersion) + 100_000);
      const { events, error } = await watched(machines, future, 3, () => machines.create('late'));
      expect(events).toEqual([]);
      expect(error).toBeUndefined();
    }));

  test('a list and a watch can be about one object', () =>
    run(async (machines) => {
      await machines.create('other');
      const { metadata } = await machines.create('one');
      const fieldSelector = 'metadata.name=one';
      const { items } = await machines.page({ fieldSelector });
      expect(items.map((item) => item.metadata.name)).toEqual(['one']);
      const { http, path } = machines;
      const { events } = await watched({ http, path, fieldSelector }, metadata.resourceVersion, 2, async () => {
        await machines.delete('other');
        await machines.delete('one');
      });
      expect(events.flatMap((event) => (event.type === 'Bookmark' ? [] : `${event.name} ${event.type}`))).toEqual([
        'one Deleted',
      ]);
    }));

  test('a reflector follows all of it', () =>
    run(async (machines, { clock }) => {
      await machines.create('known');
      const seen: string[] = [];
      const unexpected: unknown[] = [];
      const reflector = new Reflector<VirtualMachine>({
        http: machines.http,
        path: machines.path,
        clock,
        random: () => 0.5,
        parse: (raw) => parseVirtualMachine(raw),
        observer: {
          failed: (_, error) => unexpected.push(error),
          listed: () => {},
          unexpected: (...told) => unexpected.push(told),
        },
      });
      reflector.onChange(({ type, object }) => seen.push(`${object.metadata.name} ${type}`));
      reflector.start();
      await reflector.waitForSync();
      await machines.create('new');
      await machines.delete('known');
      while (seen.length < 3) await delay(clock, 10);
      await reflector.stop();
      expect(seen).toEqual(['known Applied', 'new Applied', 'known Deleted']);
      expect(unexpected).toEqual([]);
    }));
}

const leaseTimes = { durationMilliseconds: 15_000, timeoutMilliseconds: 10_000 } as const;

function describeOtherKinds(run: Run): void {
  test('of two who replace one version of a Lease, one succeeds', () =>
    run(async (_, { http, clock, namespace }) => {
      const client = new LeaseClient({ http, clock, namespace, name: `lease-${clock.now()}` });
      expect(isNotFound(refused(await client.get(leaseTimes.timeoutMilliseconds)))).toBe(true);
      const claim = (holder: string | undefined) => ({ holder, now: clock.now(), ...leaseTimes });
      const created = accepted(await client.create(claim('one')));
      expect(created).toMatchObject({ holder: 'one', durationMilliseconds: 15_000, transitions: 0 });
      expect(Math.abs((created.writtenAt ?? 0) - clock.now())).toBeLessThan(60_000);
      expect(created.metadata.managedFields).toHaveLength(1);
      expect(isAlreadyExists(refused(await client.create(claim('two'))))).toBe(true);
      const renewed = accepted(await client.replace(created, claim('one')));
      expect(isConflict(refused(await client.replace(created, claim('two'))))).toBe(true);
      const taken = accepted(await client.replace(renewed, claim('two')));
      expect(taken).toMatchObject({ holder: 'two', transitions: 1 });
      const given = accepted(await client.replace(taken, { holder: undefined, now: clock.now() }));
      expect(given).toMatchObject({ holder: undefined, durationMilliseconds: 1_000 });
    }));

  test('an Event is created and becomes a series', () =>
    run(async (_, { http, clock, namespace }) => {
      const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
      const time = new Date(clock.now()).toISOString().replace('Z', '000Z');
      const name = `event.${clock.now()}`;
      const body = {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: { name, namespace },
        eventTime: time,
        reportingController: 'lcow-operator',
        reportingInstance: 'test',
        action: 'Testing',
        reason: 'Tested',
        note: 'a note',
        type: 'Normal',
        regarding: { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', name: 'vm', uid: 'uid', namespace },
      };
      expect(await http.request({ method: 'POST', path, body })).toMatchObject({ ok: true, value: { note: 'a note' } });
      const series = { series: { count: 2, lastObservedTime: time } };
      const patch = { method: 'PATCH', path: `${path}/${name}`, contentType: merge, body: series } as const;
      expect(await http.request(patch)).toMatchObject({ ok: true, value: { note: 'a note', ...series } });
    }));

  test('a ConfigMap may be replaced without naming a version', () =>
    run(async (_, { http, namespace }) => {
      const path = `/api/v1/namespaces/${namespace}/configmaps`;
      const metadata = { name: 'data', namespace };
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { key: 'one' } };
      const created = storedObject.parse(accepted(await http.request({ method: 'POST', path, body })));
      expect(created.metadata.generation).toBeUndefined();
      const { resourceVersion } = created.metadata;
      const replace = (versions: object, value: string) => {
        const changed = { ...body, metadata: { ...metadata, ...versions }, data: { key: value } };
        return http.request({ method: 'PUT', path: `${path}/data`, body: changed });
      };
      expect(await replace({}, 'two')).toMatchObject({ ok: true, value: { data: { key: 'two' } } });
      expect(isConflict(refused(await replace({ resourceVersion }, 'three')))).toBe(true);
      expect((await http.request({ method: 'DELETE', path: `${path}/data` })).ok).toBe(true);
    }));
}

function describeReviews(run: Run): void {
  test('a token review tells whose a token is, and what is wrong with another', () =>
    run(async (_, { http, token: { token, audience, username } }) => {
      const review = (spec: object) =>
        http.request({
          method: 'POST',
          path: '/apis/authentication.k8s.io/v1/tokenreviews',
          body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec },
        });
      expect(accepted(await review({ token, audiences: [audience] }))).toMatchObject({
        status: { authenticated: true, user: { username }, audiences: [audience] },
      });
      const answer = z
        .object({ status: z.object({ authenticated: z.boolean().optional(), error: z.string() }) })
        .parse(accepted(await review({ token: 'nonsense', audiences: [audience] })));
      expect(answer.status.authenticated ?? false).toBe(false);
      expect(answer.status.error).not.toBe('');
    }));

  test('a review of access tells whether it is allowed', () =>
    run(async (_, { http, namespace }) => {
      const resourceAttributes = { group: 'lcow.dev', resource: 'linuxutilityvms', verb: 'get', namespace };
      const spec = { user: 'admin', groups: ['system:masters'], resourceAttributes };
      const answer = await http.request({
        method: 'POST',
        path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec },
      });
      expect(answer).toMatchObject({ ok: true, value: { status: { allowed: true } } });
    }));
}
