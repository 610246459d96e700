// A user who may read the logs of VMs and nothing else.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunningSystem } from '../system/running-system.ts';

const rbac = 'rbac.authorization.k8s.io';
const metadata = { name: 'reader', namespace: 'default' };
const items = [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'Role',
    metadata,
    rules: [{ apiGroups: ['subresources.lcow.dev'], resources: ['linuxutilityvms/log'], verbs: ['get'] }],
  },
  {
    apiVersion: `${rbac}/v1`,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: rbac, kind: 'Role', name: metadata.name },
    subjects: [{ kind: 'ServiceAccount', ...metadata }],
  },
];

export const reader = 'system:serviceaccount:default:reader';

/** Writes the user's kubeconfig into the folder. The API server knows the user's rights a moment later. */
export async function createReader(running: RunningSystem, folder: string): Promise<string> {
  await running.kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  const token = (await running.kubectl(['create', 'token', metadata.name])).trim();
  const path = join(folder, 'reader.kubeconfig');
  const cluster = { server: running.controlPlane.server, 'insecure-skip-tls-verify': true };
  const config = {
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'reader', user: { token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'reader' } }],
    'current-context': 'x',
  };
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
