// The contract of an API server: Leases, Events, Nodes and reviews.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { isAlreadyExists, isConflict, isNotFound } from '../../../../operator/kubernetes/api-error.ts';
import { LeaseClient } from '../../../../operator/kubernetes/lease-client.ts';

import { accepted, listed, merge, type Run, refused, storedObject } from './subject.ts';

const leaseTimes = { durationMilliseconds: 15_000, timeoutMilliseconds: 10_000 } as const;

export function describeOtherKinds(run: Run): void {
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

  test('a ControllerRevision is numbered anew, and keeps its data', () =>
    run(async (_, { http, namespace }) => {
      const path = `/apis/apps/v1/namespaces/${namespace}/controllerrevisions`;
      const metadata = { name: 'web-1', namespace, labels: { 'example.com/of': 'web' } };
      const body = { apiVersion: 'apps/v1', kind: 'ControllerRevision', metadata, data: { a: 'b' }, revision: 1 };
      accepted(await http.request({ method: 'POST', path, body }));
      const patch = (change: object) =>
        http.request({ method: 'PATCH', path: `${path}/web-1`, contentType: merge, body: change });
      expect(await patch({ revision: 2 })).toMatchObject({ ok: true, value: { revision: 2, data: { a: 'b' } } });
      expect(refused(await patch({ data: { a: 'c' } })).code).toBe(422);
      const names = async (labelSelector: string) => {
        const page = listed.parse(accepted(await http.request({ method: 'GET', path, query: { labelSelector } })));
        return page.items.map((item) => item.metadata.name);
      };
      expect(await names('example.com/of=web')).toEqual(['web-1']);
      expect(await names('example.com/of=db')).toEqual([]);
      expect((await http.request({ method: 'DELETE', path: `${path}/web-1` })).ok).toBe(true);
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

export function describeReviews(run: Run): void {
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
