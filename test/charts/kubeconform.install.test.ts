// Manifests as pipelines without a cluster validate them: kubeconform -strict, with the kinds from the files of crds/.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helm } from '../support/charts/helm.ts';
import { schemaLocation, writeBuiltInSchemas, writeOwnSchemas } from '../support/charts/json-schemas.ts';
import { kubeconform } from '../support/charts/judges.ts';
import { chartArguments, ofSomeCluster, type Rendering } from '../support/charts/rendered.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';
import { filesOf } from '../support/docs/steps.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
let folder: string;

beforeAll(async () => {
  await kubeconform.path();
  folder = await mkdtemp(join(tmpdir(), 'kubeconform-'));
  await mkdir(join(folder, 'schemas'));
  await writeOwnSchemas(join(folder, 'schemas'));
  await writeBuiltInSchemas(join(folder, 'schemas'), await sharedCluster());
}, 900_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

async function judge(...files: readonly string[]) {
  const location = schemaLocation(join(folder, 'schemas'));
  const flags = ['-strict', '-output', 'text', '-summary', '-schema-location', location];
  const { code, stdout, stderr } = await kubeconform.run([...flags, ...files]);
  return { code, said: stdout + stderr };
}

async function judgeText(text: string) {
  const file = join(folder, 'judged.yaml');
  await writeFile(file, text);
  return await judge(file);
}

const accepted = { code: 0, said: expect.stringMatching(/Valid: [1-9]\d*, Invalid: 0, Errors: 0, Skipped: 0/) };

describe('kubeconform accepts', () => {
  it('the examples', async () => {
    const files = (await readdir(join(project, 'examples'))).filter((name) => name.endsWith('.yaml'));
    expect(files.length).toBeGreaterThan(5);
    expect(await judge(...[...files, 'tenants'].map((name) => join(project, 'examples', name)))).toEqual(accepted);
  });

  it('the fleet from Git', async () => {
    const fleet = join(project, 'examples/gitops/fleet/production');
    expect(await judgeText(await kubectl(await sharedCluster(), ['kustomize', fleet]))).toEqual(accepted);
  });

  it('the manifests of the pages', async () => {
    const names = (await readdir(join(project, 'docs'))).filter((name) => name.endsWith('.md'));
    const pages = await Promise.all(names.map((name) => readFile(join(project, 'docs', name), 'utf8')));
    const manifests = pages
      .flatMap(filesOf)
      .map(([, content]) => content)
      .filter((content) => /^apiVersion: /m.test(content));
    expect(manifests.length).toBeGreaterThan(2);
    expect(await judgeText(manifests.join('---\n'))).toEqual(accepted);
  });

  it.each<Rendering>([
    { chart: 'lcow-operator' },
    { chart: 'lcow-operator', values: 'operator-small' },
    { chart: 'lcow-agent' },
    { chart: 'lcow-agent', values: 'agent-elsewhere' },
    { chart: 'lcow-agent', values: 'agent-confidential' },
  ])('%j', async (rendering) => {
    expect(await judgeText(await helm(['template', ...chartArguments(rendering), ...ofSomeCluster]))).toEqual(accepted);
  });
});

describe('kubeconform refuses', () => {
  const manifest = (spec: string, kind = 'LinuxUtilityVM') =>
    `apiVersion: lcow.dev/v1alpha1\nkind: ${kind}\nmetadata:\n  name: vm\nspec:\n${spec}\n`;

  it.each([
    ['a field that there is not', manifest('  memory:\n    sizeInMb: 512'), 'sizeInMb'],
    ['a field of another type', manifest('  memory:\n    sizeInMB: 1Gi'), '/spec/memory/sizeInMB'],
    ['a word that means nothing', manifest('  runStrategy: Sometimes'), '/spec/runStrategy'],
    ['a field that stands twice', manifest('  runStrategy: Once\n  runStrategy: Always'), 'runStrategy'],
    ['the same of a host', manifest('  unschedulabel: true', 'LinuxUtilityVMHost'), 'unschedulabel'],
  ])('%s', async (_, text, says) => {
    const { code, said } = await judgeText(text);
    expect(said).toContain(says);
    expect(code).toBe(1);
  });
});
