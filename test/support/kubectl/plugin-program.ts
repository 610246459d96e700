// The plugin as a user has it: on the PATH, started by the user's kubectl, as a separate process.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { ProvidedCluster } from '../control-plane/shared.ts';
import type { Outcome } from './stand-in-terminal.ts';

const script = fileURLToPath(new URL('../../../kubectl/main.ts', import.meta.url));

export class PluginProgram {
  readonly #cluster: ProvidedCluster;
  readonly #folder: string;

  private constructor(cluster: ProvidedCluster, folder: string) {
    this.#cluster = cluster;
    this.#folder = folder;
  }

  /** @param folder becomes part of the PATH */
  static async install(cluster: ProvidedCluster, folder: string): Promise<PluginProgram> {
    await symlink(script, join(folder, 'kubectl-luvm'));
    return new PluginProgram(cluster, folder);
  }

  /** `kubectl luvm …`, without input. */
  start(...args: readonly string[]): ChildProcessByStdio<null, Readable, Readable> {
    const { kubeconfigPath, kubectl } = this.#cluster;
    const path = [dirname(process.execPath), this.#folder, dirname(kubectl), process.env['PATH']].join(delimiter);
    const env = { ...process.env, PATH: path, KUBECONFIG: kubeconfigPath };
    return spawn(kubectl, ['luvm', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  async run(...args: readonly string[]): Promise<Outcome> {
    const child = this.start(...args);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    return { code: Number(code), stdout, stderr };
  }
}
