// Node for a platform, from the npm registry. A package that is not the expected one to the bit is refused.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import type { NodePackage } from './platforms.ts';

const run = promisify(execFile);

export interface FetchedNode {
  readonly program: Buffer;
  readonly licence: string | undefined;
}

/** @param folder keeps what is downloaded */
export async function fetchNode({ file, integrity, name, version }: NodePackage, folder: string): Promise<FetchedNode> {
  await mkdir(folder, { recursive: true });
  const archive = join(folder, `${name}-${version}.tgz`);
  const fits = (bytes: Buffer) => `sha512-${createHash('sha512').update(bytes).digest('base64')}` === integrity;
  let bytes = await readFile(archive).catch(() => Buffer.alloc(0));
  if (!fits(bytes)) {
    await run('npm', ['pack', `${name}@${version}`, '--pack-destination', folder, '--silent']);
    bytes = await readFile(archive);
    if (!fits(bytes)) throw new Error(`${name}@${version} is not the package that kubectl/package/platforms.ts names`);
  }
  const wanted = await filesOf(bytes, new Set([`package/${file}`, 'package/LICENSE']));
  const program = wanted.get(`package/${file}`);
  if (program === undefined) throw new Error(`${name}@${version} contains no ${file}`);
  return { program, licence: wanted.get('package/LICENSE')?.toString('utf8') };
}

async function filesOf(archive: Buffer, names: ReadonlySet<string>): Promise<ReadonlyMap<string, Buffer>> {
  const found = new Map<string, Buffer>();
  const entries = extract();
  Readable.from([archive]).pipe(createGunzip()).pipe(entries);
  for await (const entry of entries) {
    if (names.has(entry.header.name)) found.set(entry.header.name, await buffer(entry));
    else entry.resume();
  }
  return found;
}

/** Node of the platform that this build runs on, as a program. */
export async function writeProgram({ program }: FetchedNode, path: string): Promise<void> {
  await writeFile(path, program);
  await chmod(path, 0o755);
}
