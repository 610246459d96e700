// The images as folders: their contents, their size, and whether they start. `npm run test:wine` starts that of the
// agent.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, glob, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { javaScriptIn } from '../../images/compile.ts';
import { type Program, programOf, programs } from '../../images/programs.ts';
import { makeRootFileSystem } from '../../images/rootfs.ts';
import packageJson from '../../package.json' with { type: 'json' };

const run = promisify(execFile);
const MiB = 1 << 20;
const limits = { operator: 250 * MiB, agent: 150 * MiB };

const bill = z.object({
  bomFormat: z.literal('CycloneDX'),
  metadata: z.object({ component: z.object({ name: z.string(), version: z.string() }) }),
  components: z.array(
    z.object({
      'bom-ref': z.string(),
      name: z.string(),
      version: z.string(),
      purl: z.string().regex(/^pkg:npm\/(%40[\w.-]+\/)?[\w.-]+@[\w.+-]+$/),
      licenses: z.array(z.unknown()).length(1),
      hashes: z.array(z.object({ alg: z.literal('SHA-512'), content: z.string().regex(/^[0-9a-f]{128}$/) })).length(1),
    }),
  ),
});

let images: string;
const folderOf = (program: Program) => join(images, program.name);
const homeOf = (program: Program) => join(folderOf(program), program.folder);

beforeAll(async () => {
  images = await mkdtemp(join(tmpdir(), 'images-'));
  for (const program of Object.values(programs)) await makeRootFileSystem(program, folderOf(program));
}, 600_000);

afterAll(async () => {
  await rm(images, { recursive: true, force: true });
});

describe.each(Object.values(programs))('the image of the $name', (program) => {
  it(`has at most ${limits[program.name] / MiB} MiB`, async () => {
    const sizes = (await filesIn(folderOf(program))).map(async (path) => (await stat(path)).size);
    const total = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    expect(total).toBeLessThan(limits[program.name]);
    expect(total).toBeGreaterThan(50 * MiB);
  });

  it('has no sources, and nothing that belongs to the other program, to tests or to tools', async () => {
    const paths = await filesIn(folderOf(program));
    expect(paths.filter((path) => path.endsWith('.ts'))).toEqual([]);
    const rooms = { operator: ['sets'], agent: ['annotations'] };
    const ours = (await readdir(homeOf(program), { withFileTypes: true })).filter((entry) => entry.isDirectory());
    expect(ours.map(({ name }) => name).sort()).toEqual(
      ['crds', 'node_modules', 'protocol', 'runtime', ...rooms[program.name], program.name].sort(),
    );
    const packages = await readdir(join(homeOf(program), 'node_modules'));
    const foreign = { operator: ['koffi', '@koromix'], agent: ['@kubernetes', '@peculiar'] };
    const tools = ['typescript', 'vitest', '@biomejs', 'fast-check', ...Object.keys(packageJson.optionalDependencies)];
    expect(packages.filter((name) => [...foreign[program.name], ...tools].includes(name))).toEqual([]);
  });

  it('has the licenses of its contents', async () => {
    const files = await readdir(homeOf(program));
    expect(files).toEqual(expect.arrayContaining(['LICENSE', 'LICENSE.node']));
    const packages = await readdir(join(homeOf(program), 'node_modules', 'zod'));
    expect(packages.some((name) => /^license/i.test(name))).toBe(true);
  });

  it('has every file that its own files import', async () => {
    for (const file of await javaScriptIn(homeOf(program))) {
      const path = join(homeOf(program), file);
      const text = await readFile(path, 'utf8');
      const named = text.matchAll(/(?:\bfrom|^import|\bimport\(|new URL\()\s*'(\.{1,2}\/[^']+)'/gm);
      for (const [, target = ''] of named) await access(resolve(dirname(path), target));
    }
  });

  it('has a bill of materials that names every package in it', async () => {
    const { metadata, components } = bill.parse(JSON.parse(await readFile(`${folderOf(program)}.cdx.json`, 'utf8')));
    expect(metadata.component).toMatchObject({ name: program.folder, version: packageJson.version });
    const references = components.map((each) => each['bom-ref']);
    expect(new Set(references).size).toBe(references.length);
    const manifests = glob('**/node_modules/{@*/,}*/package.json', { cwd: homeOf(program) });
    for await (const path of manifests) {
      expect(
        references.some((reference) => reference.endsWith(`#${dirname(path)}`)),
        path,
      ).toBe(true);
    }
    expect(components.map(({ name }) => name)).toContain(program.node.package);
  });
});

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}

describe('the operator', () => {
  it('of the image starts under the Node of the image, serves, and stops on a signal', async () => {
    const home = homeOf(programOf('operator'));
    const { stdout } = await run(join(home, 'node'), [join(home, 'operator/main.js'), '--version'], { env: {} });
    expect(stdout.trim()).toBe(packageJson.version);
    // No server listens there, so the operator keeps trying.
    const cluster = { server: 'http://127.0.0.1:9' };
    const config = {
      clusters: [{ name: 'none', cluster }],
      users: [{ name: 'none', user: {} }],
      contexts: [{ name: 'none', context: { cluster: 'none', user: 'none' } }],
      'current-context': 'none',
    };
    await writeFile(join(images, 'kubeconfig'), JSON.stringify(config));
    await writeFile(join(images, 'tokens.json'), '{}');
    const flags = ['--kubeconfig', join(images, 'kubeconfig'), '--agent-tokens', join(images, 'tokens.json')];
    const child = spawn(
      join(home, 'node'),
      [join(home, 'operator/main.js'), ...flags, '--bind-address=127.0.0.1', '--agents-port=0', '--health-port=0'],
      { env: {}, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const closed = once(child, 'close');
    try {
      const { health } = await listening(child.stdout);
      expect(await (await fetch(`http://127.0.0.1:${health}/healthz`)).text()).toBe('ok');
      child.kill('SIGTERM');
      expect(await closed).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
    }
  }, 60_000);

  async function listening(output: NodeJS.ReadableStream): Promise<{ health: number }> {
    const line = z.looseObject({ msg: z.literal('listening'), health: z.number() });
    for await (const text of createInterface(output)) {
      const parsed = line.safeParse(JSON.parse(text));
      if (parsed.success) return parsed.data;
    }
    throw new Error('it ended before it listened');
  }
});
