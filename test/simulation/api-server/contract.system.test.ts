import { randomUUID } from 'node:crypto';
import { beforeAll } from 'vitest';
import { z } from 'zod';
import { loadClusterAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { sharedCluster } from '../../support/control-plane/shared-cluster.ts';
import type { ContractSubject } from './contract/subject.ts';
import { describeApiServer } from './contract.ts';

const audience = 'lcow-operator';
const tokenRequest = z.object({ status: z.object({ token: z.string() }) });

let subject: ContractSubject;

beforeAll(async () => {
  const { kubeconfigPath } = await sharedCluster();
  const access = loadClusterAccess(kubeconfigPath, systemClock);
  const http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'test' });
  const namespace = `contract-${randomUUID()}`;
  const post = async (path: string, body: object) => {
    const outcome = await http.request({ method: 'POST', path, body });
    if (!outcome.ok) throw new Error(outcome.error.message);
    return outcome.value;
  };
  const metadata = { name: namespace };
  await post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await post(accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'agent' } });
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [audience] } };
  const { token } = tokenRequest.parse(await post(`${accounts}/agent/token`, request)).status;
  subject = {
    http,
    clock: systemClock,
    namespace,
    token: { token, audience, username: `system:serviceaccount:${namespace}:agent` },
    run: (work) => work(),
  };
});

describeApiServer('kube-apiserver', () => subject);
