// What README.md shows is what happens.
import { readFile } from 'node:fs/promises';
import { expect, inject, it } from 'vitest';
import { runStrategies } from '../../protocol/messages.ts';
import { kubectl, runKubectl } from '../controlplane/kubectl.ts';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1] ?? '');

it('its manifests are accepted', async () => {
  const manifests = blocks('yaml');
  expect(manifests.length).toBeGreaterThan(0);
  for (const manifest of manifests) {
    await kubectl(inject('cluster'), ['apply', '--server-side', '--dry-run=server', '-f', '-'], manifest);
  }
});

it('the refusal that it quotes is the one of the API server', async () => {
  const bad = {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name: 'bad' },
    spec: { memory: { enableDeferredCommit: true, allowOvercommit: false } },
  };
  const { stderr } = await runKubectl(inject('cluster'), ['apply', '-f', '-'], JSON.stringify(bad));
  expect(readme.replaceAll(/\s+/g, ' ')).toContain(stderr.trim().replaceAll(/\s+/g, ' '));
});

it('its table of run strategies has each of them', () => {
  for (const strategy of runStrategies) expect(readme).toContain(`| \`${strategy}\` |`);
});
