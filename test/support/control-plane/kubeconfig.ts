// Kubeconfig files: for our control planes, and for clusters that the user provides.
import { readFile, writeFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { Identity } from '../certificates.ts';

const encode = (pem: string) => Buffer.from(pem).toString('base64');

/** Writes a kubeconfig that refers to no other file. */
export async function writeKubeconfig(path: string, server: string, authority: string, user: Identity): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'controlplane',
    contexts: [{ name: 'controlplane', context: { cluster: 'controlplane', user: 'controlplane' } }],
    clusters: [{ name: 'controlplane', cluster: { server, 'certificate-authority-data': encode(authority) } }],
    users: [
      {
        name: 'controlplane',
        user: { 'client-certificate-data': encode(user.certificate), 'client-key-data': encode(user.key) },
      },
    ],
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
}

const kubeconfig = z.object({
  'current-context': z.string(),
  contexts: z.array(z.object({ name: z.string(), context: z.object({ cluster: z.string() }) })),
  clusters: z.array(z.object({ name: z.string(), cluster: z.object({ server: z.string() }) })),
});

/** The address of the API server that the current context of a kubeconfig names. */
export async function serverOf(path: string): Promise<string> {
  const config = kubeconfig.parse(parse(await readFile(path, 'utf8')));
  const context = config.contexts.find(({ name }) => name === config['current-context']);
  const cluster = config.clusters.find(({ name }) => name === context?.context.cluster);
  if (cluster === undefined) throw new Error(`${path}: the current context leads to no cluster`);
  return cluster.cluster.server;
}
