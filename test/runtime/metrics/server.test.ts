// Which clients can read /metrics over the network, and what they get.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type MetricsFlags, metricsOptions, metricsSettings } from '../../../runtime/metrics/flags.ts';
import { MetricsServer } from '../../../runtime/metrics/server.ts';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { FakeClock } from '../../support/clocks/fake-clock.ts';
import { until } from '../../support/until.ts';

let folder: string;
let ours: Certificates;
let theirs: Certificates;
const clock = new FakeClock();
const failures: string[] = [];
const file = (name: string) => join(folder, name);
const tls = () => ['--metrics-certificate', file('tls.crt'), '--metrics-key', file('tls.key')];
const clientCA = () => ['--metrics-client-ca', file('ca.crt')];
const token = () => ['--metrics-token-file', file('token')];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'metrics-'));
  [ours, theirs] = await Promise.all([makeCertificates(), makeCertificates()]);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let server: MetricsServer | undefined;
afterEach(async () => {
  await server?.close();
  failures.length = 0;
});

function settingsOf(flags: readonly string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const option of metricsOptions()) command.addOption(option);
  return metricsSettings(command.parse(flags, { from: 'user' }).opts<MetricsFlags>());
}

async function serve(...flags: string[]): Promise<number | undefined> {
  await writeFile(file('tls.crt'), ours.serving.certificate);
  await writeFile(file('tls.key'), ours.serving.key);
  await writeFile(file('ca.crt'), ours.authority);
  await writeFile(file('token'), 'secret\n');
  return await start(...flags);
}

function start(...flags: string[]): Promise<number | undefined> {
  const settings = settingsOf(['--metrics-port', '0', ...flags]);
  if (settings === undefined) throw new Error('no settings');
  const metrics = async () => ({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' });
  const failed = (message: string) => void failures.push(message);
  server = new MetricsServer({ ...settings, clock, bindAddress: '127.0.0.1', metrics, failed });
  return server.start();
}

interface Reader {
  readonly certificate?: { readonly certificate: string; readonly key: string };
  readonly authority?: string;
  readonly token?: string;
  readonly path?: string;
}

/** The status and the text, or the error of a connection that was refused. */
function read(port: number | undefined, reader: Reader = {}): Promise<string> {
  const { authority: ca = ours.authority, certificate, path = '/metrics', token: given } = reader;
  const headers = given === undefined ? {} : { authorization: `Bearer ${given}` };
  const shown = certificate && { cert: certificate.certificate, key: certificate.key };
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path, ca, headers, agent: false, ...shown };
    https
      .get(options, async (response) => resolve(`${response.statusCode} ${(await text(response)).trim()}`.trim()))
      .on('error', () => resolve('refused'));
  });
}

describe('a reader of metrics', () => {
  it('shows a certificate of the authority of readers', async () => {
    const port = await serve(...tls(), ...clientCA());
    expect(await read(port, { certificate: ours.admin })).toBe('200 up 1');
    expect(await read(port)).toBe('refused');
    expect(await read(port, { certificate: theirs.admin })).toBe('refused');
    expect(await read(port, { certificate: ours.admin, path: '/healthz' })).toBe('404');
  });

  it('presents the token', async () => {
    const port = await serve(...tls(), ...token());
    expect(await read(port, { token: 'secret' })).toBe('200 up 1');
    for (const wrong of [undefined, '', 'secre', 'secret2']) {
      expect(await read(port, { ...(wrong !== undefined && { token: wrong }) }), wrong).toBe('401');
    }
  });

  it('needs both where both are configured', async () => {
    const port = await serve(...tls(), ...clientCA(), ...token());
    expect(await read(port, { certificate: ours.admin, token: 'secret' })).toBe('200 up 1');
    expect(await read(port, { certificate: ours.admin })).toBe('401');
    expect(await read(port, { token: 'secret' })).toBe('refused');
  });

  it('can be anyone, with or without TLS, where the user allows it', async () => {
    expect(await read(await serve(...tls(), '--metrics-anonymous'))).toBe('200 up 1');
    await server?.close();
    const port = await serve('--metrics-anonymous');
    expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toBe('up 1\n');
  });
});

describe('the files of metrics', () => {
  it('are read again when they change, and the last good ones stay in use', async () => {
    const port = await serve(...tls(), ...clientCA(), ...token());
    await writeFile(file('tls.crt'), theirs.serving.certificate);
    await writeFile(file('tls.key'), 'no key');
    await clock.advance(60_000);
    await until('the failure is told', () => failures.length > 0);
    expect(await read(port, { certificate: ours.admin, token: 'secret' })).toBe('200 up 1');
    await writeFile(file('tls.key'), theirs.serving.key);
    await writeFile(file('ca.crt'), theirs.authority);
    await writeFile(file('token'), 'other');
    const reader = { authority: theirs.authority, certificate: theirs.admin, token: 'other' };
    await until('the new files are in use', async () => {
      await clock.advance(60_000);
      return (await read(port, reader)) === '200 up 1';
    });
    expect(await read(port, { authority: theirs.authority, certificate: ours.admin, token: 'other' })).toBe('refused');
  });

  it('can appear later', async () => {
    await serve('--metrics-anonymous');
    await server?.close();
    await rm(file('tls.crt'));
    expect(await start(...tls(), ...clientCA())).toBeUndefined();
    expect(failures).toEqual([expect.stringContaining('tls.crt')]);
    await writeFile(file('tls.crt'), ours.serving.certificate);
    const again = await server?.start();
    expect(await read(again, { certificate: ours.admin })).toBe('200 up 1');
  });
});

describe('flags of metrics', () => {
  const port = ['--metrics-port', '8082'];

  it.each([
    ['no readers', [...port, '--metrics-certificate', 'a', '--metrics-key', 'b'], 'needs readers'],
    ['nothing but a port', port, 'needs readers'],
    ['a token without TLS', [...port, '--metrics-token-file', 'a'], 'need --metrics-certificate'],
    ['a certificate without its key', [...port, '--metrics-certificate', 'a'], 'belong together'],
    ['a token and anonymous access', [...port, '--metrics-token-file', 'a', '--metrics-anonymous'], 'contradicts'],
    ['no port', ['--metrics-anonymous'], 'need --metrics-port'],
    ['another port than one', ['--metrics-port', '70000'], 'must be a port from 0 to 65535'],
  ])('with %s are refused', (_name, flags, says) => {
    expect(() => settingsOf(flags)).toThrow(says);
  });
});
