// What a pod of the process kubelet finds, and what its status shows: the same as in a cluster.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { RunningCluster } from './cluster.ts';
import { expand } from './environment.ts';

/** Fails the first time. The second time it waits for its ConfigMap to change and prints what it sees. */
function seer(): void {
  const { existsSync, readFileSync, writeFileSync } = process.getBuiltinModule('node:fs');
  const { hostname } = process.getBuiltinModule('node:os');
  if (!existsSync('/scratch/second')) {
    writeFileSync('/scratch/second', '');
    process.exit(3);
  }
  const attempt = (action: () => unknown): unknown => {
    try {
      return action();
    } catch (error) {
      return (error as NodeJS.ErrnoException).code;
    }
  };
  const tell = () => {
    if (readFileSync('/settings/colour', 'utf8') === 'red') return setTimeout(tell, 50);
    const [, claims = ''] = readFileSync('/identity/token', 'utf8').split('.');
    const { PLAIN, COMPOSED, NODE, MAP, SECRET, KUBERNETES_SERVICE_PORT } = process.env;
    const { aud, sub } = JSON.parse(Buffer.from(claims, 'base64url').toString());
    const seen = {
      environment: { PLAIN, COMPOSED, NODE, MAP, SECRET, KUBERNETES_SERVICE_PORT },
      words: process.argv.slice(1),
      identity: { aud, sub, namespace: readFileSync('/identity/namespace', 'utf8') },
      colour: readFileSync('/settings/colour', 'utf8'),
      hostname: hostname(),
      user: process.getuid?.(),
      root: attempt(() => writeFileSync('/file', '')),
      settings: attempt(() => writeFileSync('/settings/colour', '')),
      home: existsSync('/home'),
    };
    process.stdout.write(`seen ${JSON.stringify(seen)}\n`);
    return undefined;
  };
  tell();
}

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'seer', namespace: 'default' },
  spec: {
    restartPolicy: 'OnFailure',
    automountServiceAccountToken: false,
    nodeSelector: { 'kubernetes.io/hostname': 'linux-b' },
    containers: [
      {
        name: 'seer',
        image: 'registry.invalid/lcow-operator:1',
        command: ['/lcow-operator/node', '--eval', `(${seer})()`, '--'],
        args: ['$(PLAIN)', '$$(PLAIN)', '$(UNKNOWN)'],
        env: [
          { name: 'PLAIN', value: 'plain' },
          { name: 'COMPOSED', value: 'more than $(PLAIN)' },
          { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
          { name: 'MAP', valueFrom: { configMapKeyRef: { name: 'settings', key: 'colour' } } },
          { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'secrets', key: 'word' } } },
        ],
        securityContext: { runAsUser: 65532, readOnlyRootFilesystem: true },
        volumeMounts: [
          { name: 'scratch', mountPath: '/scratch' },
          { name: 'settings', mountPath: '/settings', readOnly: true },
          { name: 'identity', mountPath: '/identity', readOnly: true },
        ],
      },
    ],
    volumes: [
      { name: 'scratch', emptyDir: {} },
      { name: 'settings', configMap: { name: 'settings' } },
      {
        name: 'identity',
        projected: {
          sources: [
            { serviceAccountToken: { path: 'token', audience: 'somebody', expirationSeconds: 600 } },
            { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
          ],
        },
      },
    ],
  },
};

const stateOf = z.object({
  status: z.object({
    phase: z.string(),
    message: z.string().optional(),
    containerStatuses: z
      .array(
        z.looseObject({
          restartCount: z.number(),
          state: z.unknown(),
          lastState: z.object({ terminated: z.object({ exitCode: z.number() }).optional() }),
        }),
      )
      .default([]),
  }),
});

let cluster: RunningCluster;
const status = async () => stateOf.parse(JSON.parse(await cluster.$('get pod seer -o json'))).status;

beforeAll(async () => {
  cluster = await RunningCluster.start();
}, 900_000);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

it('waits for its references, restarts a failed container, and sees what its manifest says', async () => {
  const patience = { timeout: 20_000, interval: 100 };
  await cluster.$('create -f -', JSON.stringify(pod));
  await expect.poll(async () => (await status()).message, patience).toBe('configmap "settings" not found');
  await cluster.$('create secret generic secrets --from-literal=word=hidden');
  await cluster.$('create configmap settings --from-literal=colour=red');
  await expect.poll(async () => (await status()).containerStatuses[0]?.restartCount, patience).toBe(1);
  await cluster.$('patch configmap settings -p {"data":{"colour":"blue"}}');
  await expect.poll(async () => (await status()).phase, patience).toBe('Succeeded');
  expect((await status()).containerStatuses[0]?.lastState.terminated?.exitCode).toBe(3);
  const [, seen = ''] = /^seen (.*)$/m.exec(await cluster.kubelet.logs()) ?? [];
  expect(JSON.parse(seen)).toEqual({
    environment: {
      PLAIN: 'plain',
      COMPOSED: 'more than plain',
      NODE: 'linux-b',
      MAP: 'red',
      SECRET: 'hidden',
      KUBERNETES_SERVICE_PORT: '443',
    },
    words: ['plain', '$(PLAIN)', '$(UNKNOWN)'],
    identity: { aud: ['somebody'], sub: 'system:serviceaccount:default:default', namespace: 'default' },
    colour: 'blue',
    hostname: 'seer',
    user: process.getuid?.() === 0 ? 65_532 : 0,
    root: 'EROFS',
    settings: 'EROFS',
    home: false,
  });
  await cluster.$('delete pod seer --timeout=20s');
});

it('expands known names and nothing else', () => {
  const environment = { A: '1', B: '$(A)' };
  expect(expand('$(A)$(B)$(C)$$(A)$', environment)).toBe('1$(A)$(C)$(A)$');
});
