// Both charts as dependencies of another chart, as platform teams install them.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chartFolder, runHelm } from '../support/charts/helm.ts';
import { ofSomeCluster, parseObjects, title } from '../support/charts/rendered.ts';

const parts = ['lcow-operator', 'lcow-agent'];
let umbrella = '';

beforeAll(async () => {
  umbrella = await mkdtemp(join(tmpdir(), 'umbrella-'));
  await mkdir(join(umbrella, 'charts'));
  for (const part of parts) await cp(chartFolder(part), join(umbrella, 'charts', part), { recursive: true });
  const dependencies = parts.map((name) => ({ name, version: '*', condition: `${name}.enabled` }));
  const chart = { apiVersion: 'v2', name: 'platform', version: '1.0.0', dependencies };
  await writeFile(join(umbrella, 'Chart.yaml'), JSON.stringify(chart));
});
afterAll(() => rm(umbrella, { recursive: true, force: true }));

const template = (values: object) =>
  runHelm(['template', 'platform', umbrella, '--namespace', 'lcow-system', ...ofSomeCluster, '--values', '-'], {
    input: JSON.stringify(values),
  });

async function rendered(values: object) {
  const { code, stdout, stderr } = await template(values);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return parseObjects(stdout);
}

describe('a chart that depends on these charts', () => {
  it('switches them by `condition`', async () => {
    const objects = await rendered({ 'lcow-operator': { enabled: true }, 'lcow-agent': { enabled: false } });
    const titles = objects.map(title);
    expect(titles).toContain('Deployment lcow-system/lcow-operator');
    expect(titles.filter((each) => each.includes('lcow-agent'))).toEqual([]);
    const others = await rendered({ 'lcow-operator': { enabled: false }, 'lcow-agent': { enabled: true } });
    expect(others.map(title)).toContain('DaemonSet lcow-system/lcow-agent');
    expect(others.map(title).filter((each) => each.includes('lcow-operator'))).toEqual([]);
  });

  it('sets one registry and its secrets for all of them, each secret once', async () => {
    const text = JSON.stringify(
      await rendered({
        global: { imageRegistry: 'registry.example.com', imagePullSecrets: ['shared', { name: 'other' }] },
        'lcow-operator': { imagePullSecrets: [{ name: 'shared' }] },
      }),
    );
    expect(text).not.toContain('ghcr.io/');
    expect(text.match(/"image":"registry\.example\.com\//g)).toHaveLength(4);
    expect(text.match(/"imagePullSecrets":\[\{"name":"shared"\},\{"name":"other"\}\]/g)).toHaveLength(4);
  });

  it('is warned about values that nothing reads', async () => {
    const { code, stderr } = await template({ 'lcow-agent': { enable: true } });
    expect(code).not.toBe(0);
    expect(stderr).toContain('enable');
  });

  it('passes the globals of other charts through', async () => {
    expect((await rendered({ global: { storageClass: 'fast' } })).length).toBeGreaterThan(2);
  });
});
