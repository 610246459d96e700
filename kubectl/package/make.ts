// Makes all files that a release of the plugin consists of: the package for npm, an archive for each platform with Node
// in it, the manifest for krew, and their checksums.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { arch, platform as system } from 'node:os';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { type ArchivedFile, tarGzip } from '../archive.ts';
import { type Bundle, bundle, ownLicence } from './bundle.ts';
import { sha256 } from './checksum.ts';
import { archiveName, krewManifest, type PlatformArchive } from './krew.ts';
import { completionLauncher, completionScript, launcher, programFolder } from './launchers.ts';
import { type FetchedNode, fetchNode } from './node-packages.ts';
import { type Platform, platforms } from './platforms.ts';
import { windowsProgram } from './windows.ts';

export interface MakeOptions {
  /** Replaced. */
  readonly folder: string;
  /** Keeps the downloaded packages with Node. */
  readonly cache: string;
  readonly platforms: readonly Platform[];
  /** Where the archives will be found, for krew. */
  readonly url: string;
}

/** Returns the names of the files. */
export async function makePackages({ cache, folder, platforms: wanted, url }: MakeOptions): Promise<readonly string[]> {
  const { version } = packageJson;
  const files = new Map<string, Buffer>();
  const bundled = await bundle();
  files.set(`kubectl-luvm-${version}.tgz`, await npmPackage(bundled));
  const archives: PlatformArchive[] = [];
  // One after another: each has a whole Node in memory.
  for (const platform of wanted) {
    const name = archiveName(version, platform);
    const bytes = await tarGzip(await archivedFiles(platform, bundled, cache));
    files.set(name, bytes);
    archives.push({ platform, name, sha256: sha256(bytes) });
  }
  if (archives.length > 0) files.set('luvm.yaml', Buffer.from(krewManifest(version, archives, url)));
  const sums = [...files].map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`).join('');
  files.set('SHA256SUMS', Buffer.from(sums));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of files) await writeFile(join(folder, name), bytes);
  return [...files.keys()];
}

async function npmPackage({ licences, script }: Bundle): Promise<Buffer> {
  const { description, license, version } = packageJson;
  const manifest = {
    name: 'kubectl-luvm',
    version,
    description: `kubectl plugin. ${description}`,
    license,
    engines: { node: '>=20' },
    bin: { 'kubectl-luvm': 'kubectl-luvm.cjs', 'kubectl_complete-luvm': 'complete.cjs' },
  };
  // The bundle keeps the first line of kubectl/main.ts, by which a shell finds Node.
  return await tarGzip([
    { path: 'package/package.json', content: `${JSON.stringify(manifest, undefined, 2)}\n` },
    { path: 'package/kubectl-luvm.cjs', content: script, isExecutable: true },
    { path: 'package/complete.cjs', content: completionScript, isExecutable: true },
    { path: 'package/LICENSE', content: await ownLicence() },
    { path: 'package/LICENSES.packages', content: licences },
  ]);
}

async function archivedFiles(platform: Platform, { licences, script }: Bundle, cache: string): Promise<ArchivedFile[]> {
  const node = await fetchNode(platform.node, cache);
  const own = await ownNode(cache);
  // The packages for Windows contain no licence of Node, which is the same on every platform.
  const legal = [
    { path: 'LICENSE', content: await ownLicence() },
    { path: 'LICENSES.packages', content: licences },
    { path: 'LICENSE.node', content: node.licence ?? own.licence ?? '' },
  ];
  if (platform.os === 'windows') {
    const content = await windowsProgram(script, node, own);
    return [{ path: 'kubectl-luvm.exe', content, isExecutable: true }, ...legal];
  }
  return [
    { path: 'kubectl-luvm', content: launcher, isExecutable: true },
    { path: 'kubectl_complete-luvm', content: completionLauncher, isExecutable: true },
    { path: `${programFolder}/node`, content: node.program, isExecutable: true },
    { path: `${programFolder}/kubectl-luvm.cjs`, content: script },
    ...legal.map((each) => ({ ...each, path: `${programFolder}/${each.path}` })),
  ];
}

/** Node of the platform that this build runs on. */
async function ownNode(cache: string): Promise<FetchedNode> {
  const own = platforms.find((each) => each.os === system() && each.arch === (arch() === 'x64' ? 'amd64' : arch()));
  if (own === undefined) throw new Error(`the packages cannot be made on ${system()}-${arch()}`);
  return await fetchNode(own.node, cache);
}
