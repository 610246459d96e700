// The certificate of the cluster's administrator, for whom RBAC allows everything, as TLS options.
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import type { RunningSystem } from './running-system.ts';

const kubeconfig = z.object({
  users: z.tuple([
    z.object({ user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }) }),
  ]),
});

export interface ClientIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export async function administratorOf({ controlPlane }: RunningSystem): Promise<ClientIdentity> {
  const [{ user }] = kubeconfig.parse(parse(await readFile(controlPlane.kubeconfigPath, 'utf8'))).users;
  const decoded = (text: string) => Buffer.from(text, 'base64');
  return { cert: decoded(user['client-certificate-data']), key: decoded(user['client-key-data']) };
}
