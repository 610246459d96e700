// The contract of an API server: lists, watches and versions.
import { expect, test } from 'vitest';
import { type ApiError, isGone, isNotFound, isUnservedKind } from '../../../../operator/kubernetes/api-error.ts';
import { parseVirtualMachine, type VirtualMachine } from '../../../../operator/kubernetes/objects.ts';
import { Reflector } from '../../../../operator/kubernetes/reflector.ts';
import { type Collection, isOlder, list, type WatchEvent, watch } from '../../../../operator/kubernetes/watch.ts';
import { delay } from '../../../../runtime/clock.ts';

import { accepted, foreignFinalizer, type Machines, type Run, refused, storedObject } from './subject.ts';

export function describeReads(run: Run): void {
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

export function describeWatches(run: Run): void {
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
      // A busy server may begin a watch so late that no time is left for the bookmark.
      for (let attempt = 1, seen = 0; seen === 0; attempt += 1) {
        expect(attempt).toBeLessThan(4);
        const make = () => machines.create(`marked-${attempt}`);
        const { events, error } = await watched(machines, metadata.resourceVersion, 4, make);
        expect(error).toBeUndefined();
        const changes = events.filter(({ type }) => type === 'Applied');
        expect(changes).toHaveLength(attempt);
        const bookmarks = events.slice(changes.length);
        for (const { type, resourceVersion } of bookmarks) {
          expect(type).toBe('Bookmark');
          expect(isOlder(resourceVersion, changes.at(-1)?.resourceVersion ?? '')).toBe(false);
        }
        seen = bookmarks.length;
      }
    }));
}

export function describeVersions(run: Run): void {
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
