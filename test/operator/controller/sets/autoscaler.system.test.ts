// The real HorizontalPodAutoscaler scales a set up and down by an External metric, which a stand-in of an adapter serves.
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { apiVersion } from '../../../../crds/names.ts';
import { makeCertificates } from '../../../support/certificates.ts';
import { type ControlPlane, startControlPlane } from '../../../support/control-plane/control-plane.ts';
import { installCustomResources } from '../../../support/control-plane/custom-resources.ts';
import { kubectl } from '../../../support/control-plane/kubectl.ts';
import { OperatorFixture, until } from '../../../support/operator/fixture.ts';

const metrics = 'external.metrics.k8s.io';
const example = new URL('../../../../examples/sets/autoscaled.yaml', import.meta.url);
const scalePath = `/apis/${apiVersion}/namespaces/default/linuxutilityvmsets/workers/scale`;
/** A busy autoscaler looks seldom. */
const patience = 90_000;

let controlPlane: ControlPlane;
let fixture: OperatorFixture;
let adapter: Server;
let messages = 0;

beforeAll(async () => {
  controlPlane = await startControlPlane();
  await installCustomResources(controlPlane);
  fixture = new OperatorFixture(controlPlane.kubeconfigPath);
  adapter = await serveMetric();
}, 120_000);

afterAll(async () => {
  adapter?.close();
  adapter?.closeAllConnections();
  await controlPlane?.stop();
});

async function serveMetric(): Promise<Server> {
  const { serving } = await makeCertificates();
  const server = createServer({ cert: serving.certificate, key: serving.key }, ({ url = '' }, response) => {
    const isMetric = url.includes('/namespaces/default/queue_messages');
    const value = { metricName: 'queue_messages', timestamp: new Date().toISOString(), value: String(messages) };
    const body = isMetric
      ? { kind: 'ExternalMetricValueList', apiVersion: `${metrics}/v1beta1`, metadata: {}, items: [value] }
      : { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${metrics}/v1beta1`, resources: [] };
    response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const service = { name: 'metrics', namespace: 'default' };
  const objects = [
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata: service },
      spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
    },
    {
      ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: `v1beta1.${metrics}` } },
      spec: {
        ...{ group: metrics, version: 'v1beta1', groupPriorityMinimum: 100, versionPriority: 100 },
        ...{ insecureSkipTLSVerify: true, service: { ...service, port } },
      },
    },
  ];
  await kubectl(controlPlane, ['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  await kubectl(controlPlane, ['wait', '--for=condition=Available', '--timeout=60s', `apiservice/v1beta1.${metrics}`]);
  return server;
}

const scale = z.object({
  spec: z.object({ replicas: z.number() }),
  status: z.object({ replicas: z.number() }),
});

async function isScaledTo(replicas: number): Promise<boolean> {
  const { spec, status } = scale.parse(await fixture.request({ method: 'GET', path: scalePath }));
  const names = (await fixture.list()).map(({ metadata }) => metadata.name).sort();
  const expected = Array.from({ length: replicas }, (_, ordinal) => `workers-${ordinal}`).sort();
  return spec.replicas === replicas && status.replicas === replicas && names.join() === expected.join();
}

it('a HorizontalPodAutoscaler scales a set up and down by an External metric', { timeout: 300_000 }, async () => {
  const { operator } = await fixture.start();
  const manifest = (await readFile(example, 'utf8')).replace('Seconds: 300', 'Seconds: 0');
  messages = 450;
  await kubectl(controlPlane, ['apply', '--server-side', '-f', '-'], manifest);
  await until(() => isScaledTo(5), patience);
  messages = 100;
  await until(() => isScaledTo(2), patience);
  // Nobody takes the number back by applying the manifest again.
  await kubectl(controlPlane, ['apply', '--server-side', '-f', '-'], manifest);
  expect(await isScaledTo(2)).toBe(true);
  await operator.stop();
});
