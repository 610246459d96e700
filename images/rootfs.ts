// `npm run image:rootfs -- operator|agent [folder]` writes the files of an image into a folder and the bill of
// materials beside it, without a container engine. The Dockerfile runs the same and copies the result.
import { chmod, copyFile, glob, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { compile } from './compile.ts';
import { closureOf, copyPackage, importedPackages, installPackages } from './packages.ts';
import { type Program, programOf } from './programs.ts';
import { billOfMaterials } from './sbom.ts';

const project = fileURLToPath(new URL('../', import.meta.url));
const manifest = z.object({ version: z.string(), license: z.string() });

export interface RootFileSystem {
  readonly folder: string;
  /** The file with the bill of materials. */
  readonly sbom: string;
}

/** Replaces `folder`. */
export async function makeRootFileSystem(program: Program, folder: string): Promise<RootFileSystem> {
  const home = join(folder, program.folder);
  const sbom = `${folder}.cdx.json`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(home, { recursive: true });
  const { version, license } = manifest.parse(JSON.parse(await readFile(join(project, 'package.json'), 'utf8')));
  await compile(project, program.entries, home);
  const product = { name: program.folder, version, license };
  // Programs read their version from package.json, and Node reads that their files are modules.
  await writeFile(join(home, 'package.json'), `${JSON.stringify({ ...product, private: true, type: 'module' })}\n`);
  await copyFile(join(project, 'LICENSE'), join(home, 'LICENSE'));
  const staging = await mkdtemp(join(tmpdir(), 'packages-'));
  try {
    await installPackages(project, program, staging);
    const packages = await closureOf(await importedPackages(home), staging);
    for (const each of packages) await copyPackage(each, staging, home);
    const node = await closureOf([program.node.package], staging);
    await layInNode(program, staging, home);
    await writeFile(sbom, `${JSON.stringify(billOfMaterials(product, [...packages, ...node]), undefined, 2)}\n`);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
  return { folder, sbom };
}

async function layInNode({ node }: Program, staging: string, home: string): Promise<void> {
  const target = join(home, basename(node.file));
  await copyFile(join(staging, 'node_modules', node.package, node.file), target);
  await chmod(target, 0o755);
  await copyFile(await licenseOfNode(), join(home, 'LICENSE.node'));
}

/** The license of the Node that runs this build, which is the same version: the Windows package contains no license. */
async function licenseOfNode(): Promise<string> {
  const candidates = glob('node_modules/node-{linux,darwin}-*/LICENSE', { cwd: project });
  for await (const path of candidates) return join(project, path);
  throw new Error('the license of Node is not there: run npm ci');
}

if (import.meta.main) {
  const [name, folder] = process.argv.slice(2);
  const program = programOf(name);
  const made = await makeRootFileSystem(
    program,
    resolve(folder ?? join(project, 'node_modules/.cache/images', program.name)),
  );
  process.stdout.write(`${made.folder}\n${made.sbom}\n`);
}
