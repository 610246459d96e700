// Access to a real API server as kubeconfigs describe it.
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { loadClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { sharedCluster } from '../../support/control-plane/shared-cluster.ts';

const kubeconfig = z.looseObject({ clusters: z.array(z.object({ name: z.string(), cluster: z.looseObject({}) })) });

let folder: string;
let proxy: http.Server;
let tunnels: (string | undefined)[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'access-'));
  tunnels = [];
  proxy = http.createServer().on('connect', ({ url }, socket) => {
    tunnels.push(url);
    const { hostname, port } = new URL(`http://${url}`);
    const upstream = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
});

afterEach(async () => {
  proxy.close();
  await rm(folder, { recursive: true });
});

describe('access through a proxy', () => {
  it('tunnels reads, writes and watches, and uses no other path', async () => {
    const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const { kubeconfigPath, server } = await sharedCluster();
    const config = kubeconfig.parse(parse(await readFile(kubeconfigPath, 'utf8')));
    for (const { cluster } of config.clusters) cluster['proxy-url'] = proxyUrl;
    const path = join(folder, 'kubeconfig');
    await writeFile(path, stringify(config));
    const access = loadClusterAccess(path, systemClock);
    const api = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
    const namespaces = { method: 'GET', path: '/api/v1/namespaces' } as const;
    expect((await api.request(namespaces)).ok).toBe(true);
    const dryRun = { method: 'POST', path: '/api/v1/namespaces', query: { dryRun: 'All' } } as const;
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'by-proxy' } };
    expect(await api.request({ ...dryRun, body })).toMatchObject({
      ok: true,
      value: { metadata: { name: 'by-proxy' } },
    });
    const ended = new AbortController();
    const watch = await api.lines({ ...namespaces, query: { watch: true }, signal: ended.signal });
    if (!watch.ok) throw new Error(watch.error.message);
    for await (const line of watch.value) {
      expect(line).toContain('"type":"ADDED"');
      break;
    }
    ended.abort();
    expect(new Set(tunnels)).toEqual(new Set([new URL(server).host]));
  });
});
