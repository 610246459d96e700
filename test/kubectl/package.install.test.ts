// The files of a release of the plugin, on a machine with only Node 20 and on one without Node.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { sha256 } from '../../kubectl/package/checksum.ts';
import { makePackages } from '../../kubectl/package/make.ts';
import { platforms } from '../../kubectl/package/platforms.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { installOldestNode } from '../support/kubectl/plugin-program.ts';

const run = promisify(execFile);
const cache = fileURLToPath(new URL('../../node_modules/.cache/node-packages', import.meta.url));
const { version } = packageJson;
const own = platforms.filter(
  ({ arch, os }) => os === 'linux' && arch === (process.arch === 'x64' ? 'amd64' : process.arch),
);
const archive = `kubectl-luvm-${version}-linux-${own[0]?.arch}.tar.gz`;
const npmPackage = `kubectl-luvm-${version}.tgz`;

let folder: string;
const at = (...path: readonly string[]) => join(folder, ...path);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugin-packages-'));
  await makePackages({ folder: at('made'), cache, platforms: own, url: 'https://example.org/v1/' });
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

it('are listed with their checksums, and the manifest of krew names the archive', async () => {
  expect((await readdir(at('made'))).sort()).toEqual(['SHA256SUMS', archive, npmPackage, 'luvm.yaml'].sort());
  await run('sha256sum', ['--check', 'SHA256SUMS'], { cwd: at('made') });
  const manifest = parse(await readFile(at('made/luvm.yaml'), 'utf8'));
  expect(manifest.spec.platforms).toEqual([
    {
      selector: { matchLabels: { os: 'linux', arch: own[0]?.arch } },
      uri: `https://example.org/v1/${archive}`,
      sha256: sha256(await readFile(at('made', archive))),
      bin: 'kubectl-luvm',
    },
  ]);
});

it('are the same, byte for byte, when they are made again', async () => {
  await makePackages({ folder: at('again'), cache, platforms: [], url: '' });
  expect(sha256(await readFile(at('again', npmPackage)))).toBe(sha256(await readFile(at('made', npmPackage))));
});

it('the package installs with npm and runs on Node 20', async () => {
  await mkdir(at('node20'));
  await installOldestNode(at('node20'));
  await run('npm', ['install', '--global', '--offline', '--prefix', at('global'), at('made', npmPackage)]);
  const env = { PATH: [at('node20'), at('global/bin'), '/usr/bin', '/bin'].join(':') };
  expect((await run('node', ['--version'], { env })).stdout).toMatch(/^v20\./);
  expect((await run('kubectl-luvm', ['version'], { env })).stdout).toBe(`${version}\n`);
  expect((await run('kubectl_complete-luvm', ['vers'], { env })).stdout).toMatch(/^version\t.*\n:4\n$/);
  // This command builds a document, with numbers that Node 20 cannot write.
  const key = 'io.microsoft.virtualmachine.computetopology.memory.lowmmiogapinmb';
  await writeFile(at('annotations.json'), JSON.stringify({ [key]: '18446744073709551615' }));
  const converted = await run('kubectl-luvm', ['convert', '--annotations', at('annotations.json')], { env });
  expect(parse(converted.stdout)).toMatchObject({ kind: 'LinuxUtilityVM' });
  expect(converted.stderr).toContain(`${key}: spec.memory.lowMMIOGapInMB cannot have this value`);
});

it('the archive runs without Node, also through a link', async () => {
  await mkdir(at('unpacked'));
  await run('tar', ['--extract', '--gzip', '--file', at('made', archive), '--directory', at('unpacked')]);
  await mkdir(at('linked'));
  await symlink('../unpacked/kubectl-luvm', at('linked/kubectl-luvm'));
  // Without Node: only what the launcher itself needs.
  await mkdir(at('tools'));
  for (const tool of ['dirname', 'readlink']) await symlink(`/usr/bin/${tool}`, at('tools', tool));
  const env = { PATH: [at('linked'), at('unpacked'), at('tools')].join(':') };
  expect((await run('kubectl-luvm', ['version'], { env })).stdout).toBe(`${version}\n`);
  expect((await run('kubectl_complete-luvm', ['vers'], { env })).stdout).toMatch(/^version\t/);
  expect((await stat(at('made', archive))).size).toBeLessThan(50 << 20);
});
