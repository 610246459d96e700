// The plugin and all packages that it uses, as one script for Node 20 and later, and the licences of these packages.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { z } from 'zod';

const project = fileURLToPath(new URL('../../', import.meta.url));
const unused = fileURLToPath(new URL('./unused.ts', import.meta.url));

export interface Bundle {
  readonly script: string;
  /** Names, versions and licences of the bundled packages. */
  readonly licences: string;
}

export async function bundle(): Promise<Bundle> {
  const build = await rolldown({
    cwd: project,
    input: join(project, 'kubectl/main.ts'),
    platform: 'node',
    transform: { target: 'node20' },
    // Parts of client-node that only its own API clients use. undici 8 does not run on Node 20.
    resolve: { alias: { undici: unused, './gen/index.js': unused } },
  });
  try {
    const { output } = await build.generate({ format: 'cjs', codeSplitting: false, minify: true, comments: false });
    const [chunk, ...others] = output;
    if (others.length > 0) throw new Error('the bundle has more than one file');
    return { script: chunk.code, licences: await licencesOf(chunk.moduleIds) };
  } finally {
    await build.close();
  }
}

const manifest = z.looseObject({ name: z.string(), version: z.string(), license: z.string() });

async function licencesOf(modules: readonly string[]): Promise<string> {
  const folders = new Set(modules.flatMap((path) => packageFolder(relative(project, path)) ?? []));
  const texts = await Promise.all([...folders].sort().map((folder) => licenceOf(join(project, folder))));
  return texts.join('\n');
}

/** Such as `node_modules/@scope/name`. */
function packageFolder(path: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path.replaceAll('\\', '/'))?.[0];
}

async function licenceOf(folder: string): Promise<string> {
  const { license, name, version } = manifest.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  const text = await firstOf(['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'license', 'LICENCE'], folder);
  return `${name} ${version} (${license})\n\n${text ?? ''}\n${'-'.repeat(80)}\n`;
}

async function firstOf(names: readonly string[], folder: string): Promise<string | undefined> {
  for (const name of names) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    if (text !== undefined) return text;
  }
  return undefined;
}

/** The licence of the project itself. */
export const ownLicence = () => readFile(join(dirname(fileURLToPath(import.meta.url)), '../../LICENSE'), 'utf8');
