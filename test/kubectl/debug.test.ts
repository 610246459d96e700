// The archive for a bug report has everything about a VM, and no secret.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { debug } from '../../kubectl/debug/debug.ts';
import { leftOut, redacted, redactedText } from '../../kubectl/debug/redact.ts';
import { writeNew } from '../../kubectl/new-file.ts';
import { StandInApi } from '../support/kubectl/stand-in-api.ts';
import { runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';

const secret = 'c2VjcmV0LXBvbGljeQ==';
const token = `eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.${'a'.repeat(40)}`;
const vm = {
  metadata: {
    namespace: 'ns',
    name: 'web',
    uid: 'u-1',
    managedFields: [{ manager: 'x' }],
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"p":"${secret}"}`, 'lcow.dev/paused': 'true' },
  },
  spec: { confidential: { securityPolicy: secret, securityPolicyFrom: { configMap: { name: 'c', key: 'k' } } } },
  status: { nodeName: 'node-a', policyDigest: 'sha256:1' },
};
const log = [
  '2026-11-30T12:00:00Z info GCS started',
  `2026-11-30T12:00:01Z info exec env=[PASSWORD=${secret}]`,
  `2026-11-30T12:00:02Z info called with Authorization: Bearer ${token}`,
  `2026-11-30T12:00:03Z info {\\"EnvironmentVariables\\":{\\"A\\":\\"${secret}\\"}}`,
  `2026-11-30T12:00:04Z info got ${token} from somewhere`,
  '2026-11-30T12:00:05Z info last',
].join('\n');

/** By the end of the path. */
const answers: Readonly<Record<string, object | string>> = {
  '/linuxutilityvms/web': vm,
  '/web/log': log,
  '/web/document': { Owner: 'lcow', SecurityPolicy: secret },
  '/web/usage': { time: 1, log: { boot: 0, lines: 5 } },
  '/events': { items: [{ reason: 'Started', message: `token: ${secret}` }] },
  '/linuxutilityvmhosts/node-a': { status: { agentVersion: '0.1.0' } },
};

let api: StandInApi;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'debug-'));
  api = await StandInApi.start(({ path, query }) => {
    if (query.get('previous') === 'true') return { code: 404, body: token };
    const end = Object.keys(answers).find((each) => path.endsWith(each));
    return end === undefined ? undefined : { body: answers[end] ?? '' };
  });
});
afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function unpacked(path: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const entries = extract();
  Readable.from([await readFile(path)])
    .pipe(createGunzip())
    .pipe(entries);
  for await (const entry of entries) files.set(entry.header.name, await text(entry));
  return files;
}

const run = (file: string) =>
  runAt(new StandInTerminal(), api.kubeconfig, (ports) => debug('web', { file, version: '1.2.3', writeNew }, ports));

describe('debug', () => {
  it('collects everything about a VM in an archive of its owner, and names what is missing', async () => {
    const file = join(folder, 'report.tar.gz');
    const { code, stderr, stdout } = await run(file);
    expect([code, stdout]).toEqual([0, `${file}\n`]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const files = await unpacked(file);
    expect([...files.keys()].map((path) => path.replace('luvm-debug-ns-web/', ''))).toEqual([
      'about.txt',
      'vm.yaml',
      'events.yaml',
      'host.yaml',
      'document.json',
      'usage.json',
      'log.txt',
    ]);
    const about = files.get('luvm-debug-ns-web/about.txt');
    expect(about).toContain('kubectl-luvm 1.2.3\nVM ns/web\n');
    for (const missing of ['stacks.txt', 'node.yaml', 'previous-log.txt']) {
      expect(about).toContain(`without ${missing}: `);
      expect(stderr).toContain(`without ${missing}: `);
    }
  });

  it('leaves out policies, environments and tokens, and nothing else', async () => {
    const file = join(folder, 'secrets.tar.gz');
    await run(file);
    const files = await unpacked(file);
    const all = [...files.values()].join('\n');
    for (const hidden of [secret, token, 'token-of-u', 'last-applied-configuration: "{'])
      expect(all).not.toContain(hidden);
    expect(files.get('luvm-debug-ns-web/vm.yaml')).toContain(`securityPolicy: "${leftOut}"`);
    for (const kept of [
      'policyDigest: sha256:1',
      'lcow.dev/paused: "true"',
      'key: k',
      'info GCS started',
      'info last',
    ]) {
      expect(all).toContain(kept);
    }
  });

  it('overwrites no file, and leaves no part of one', async () => {
    const file = join(folder, 'existing');
    await writeFile(file, 'mine');
    expect((await run(file)).code).toBe(1);
    expect(await readFile(file, 'utf8')).toBe('mine');
    expect((await run(join(folder, 'nowhere/file'))).code).toBe(1);
  });
});

describe('redaction', () => {
  it('leaves out the value of every member with a telling name, wherever it stands', () => {
    const names = fc.constantFrom('securityPolicy', 'env', 'Environment', 'API_TOKEN', 'password', 'clientSecret');
    fc.assert(
      fc.property(names, fc.array(fc.constantFrom('a', 'b'), { maxLength: 4 }), (name, path) => {
        const inner: unknown = { [name]: [{ value: secret }, secret], [`${name}Text`]: `${name}=${secret}` };
        const value = path.reduce<unknown>((within, key) => ({ [key]: [within] }), inner);
        expect(JSON.stringify(redacted(value))).not.toContain(secret);
      }),
    );
  });

  it('leaves out private keys, over several lines', () => {
    const key = ['before', '-----BEGIN RSA PRIVATE KEY-----', secret, '-----END RSA PRIVATE KEY-----', 'after'].join(
      '\n',
    );
    expect(redactedText(key)).toBe(['before', leftOut, leftOut, leftOut, 'after'].join('\n'));
  });
});
