// The contract of an API server: writes, status and deletion.
import { expect, test } from 'vitest';
import { isAlreadyExists, isConflict, isNotFound } from '../../../../operator/kubernetes/api-error.ts';
import { machineKind } from '../../../../operator/kubernetes/caches.ts';
import { absent } from '../../../../operator/kubernetes/resource-client.ts';
import { isOlder } from '../../../../operator/kubernetes/watch.ts';

import { accepted, foreignFinalizer, type Run, readiness, refused, storedObject } from './subject.ts';

export function describeWrites(run: Run): void {
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

export function describeApply(run: Run): void {
  const manager = 'contract';
  const named = (name: string, metadata: object, spec: object) => ({ metadata: { name, ...metadata }, spec });

  test('an apply makes an object that is absent, and no other one of its name', () =>
    run(async ({ client, namespace }) => {
      const object = { name: 'applied', namespace };
      const body = named('applied', { resourceVersion: absent, labels: { a: 'b' } }, { processor: { count: 3 } });
      const made = accepted(await client.apply(object, manager, body));
      expect(made.metadata).toMatchObject({ generation: 1, labels: { a: 'b' } });
      expect(isConflict(refused(await client.apply(object, manager, body)))).toBe(true);
      const other = named('gone', { resourceVersion: '5', uid: made.metadata.uid }, {});
      expect(isConflict(refused(await client.apply({ name: 'gone', namespace }, manager, other)))).toBe(true);
    }));

  test('an apply takes out what its manager leaves out, and keeps what others have set', () =>
    run(async (machines) => {
      const { client, namespace } = machines;
      const object = { name: 'managed', namespace };
      const apply = (metadata: object, spec: object) => client.apply(object, manager, named('managed', metadata, spec));
      const first = { console: { pipe: '\\\\.\\pipe\\a' }, processor: { count: 3, limit: 5_000, weight: 200 } };
      accepted(await apply({ labels: { a: 'b', c: 'd' } }, first));
      const theirs = { metadata: { labels: { c: 'e', theirs: 'f' } }, spec: { processor: { weight: 300 } } };
      const changed = await machines.patched('managed', theirs);
      const { uid, resourceVersion } = changed.metadata;
      const versions = { uid, resourceVersion };
      accepted(await apply({ ...versions, labels: {} }, { processor: { count: 2 } }));
      expect(isConflict(refused(await apply({ ...versions, labels: { late: 'g' } }, {})))).toBe(true);
      const { metadata, spec } = storedObject.parse(accepted(await machines.get('managed')));
      expect(metadata).toMatchObject({ uid, generation: 3 });
      expect(metadata['labels']).toEqual({ c: 'e', theirs: 'f' });
      expect(spec).toMatchObject({ processor: { count: 2, weight: 300 } });
      expect(spec).not.toHaveProperty('processor.limit');
      expect(spec).not.toHaveProperty('console.pipe');
    }));
}

export function describeStatus(run: Run): void {
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

export function describeDeletion(run: Run): void {
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
