// The volumes of a pod as folders. Files of ConfigMaps, Secrets and tokens are replaced when they change, each by a
// rename: a reader sees the old or the new one. (A kubelet swaps the whole folder at once.)
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Api } from './api.ts';
import type { PodAddresses } from './environment.ts';
import { fieldOf, type Pod, type ProjectedSource, type Volume } from './objects.ts';

type Files = ReadonlyMap<string, Buffer>;

/** The share of its life after which a token is fetched again, the same as a kubelet's. */
const tokenShare = 0.8;

export interface VolumePlaces {
  readonly api: Api;
  /** For volumes that end with the pod. */
  readonly directory: string;
  /** Stands for the root of the node's file system. */
  readonly nodeDirectory: string;
  readonly addresses: PodAddresses;
}

export class Volumes {
  readonly #pod: Pod;
  readonly #places: VolumePlaces;
  readonly #tokens = new Map<string, { readonly token: Buffer; readonly renewAt: number }>();

  constructor(pod: Pod, places: VolumePlaces) {
    this.#pod = pod;
    this.#places = places;
  }

  pathOf(name: string): string {
    const host = this.#pod.spec.volumes.find((volume) => volume.name === name)?.hostPath;
    return host === undefined ? join(this.#places.directory, name) : hostFolder(this.#places.nodeDirectory, host.path);
  }

  /** Creates or updates the volumes. Throws a message for users of the pod when something is missing. */
  async refresh(): Promise<void> {
    for (const volume of this.#pod.spec.volumes) {
      const path = this.pathOf(volume.name);
      await mkdir(path, { recursive: true });
      if (volume.emptyDir !== undefined) await chmod(path, 0o777);
      const files = await this.#filesOf(volume);
      if (files !== undefined) await replace(path, files);
    }
  }

  async #filesOf({ name, emptyDir, hostPath, projected, configMap, secret }: Volume): Promise<Files | undefined> {
    if (emptyDir !== undefined || hostPath !== undefined) return undefined;
    if (projected !== undefined) return merged(await Promise.all(projected.sources.map((each) => this.#source(each))));
    if (configMap !== undefined) return await this.#source({ configMap });
    if (secret !== undefined) return await this.#source({ secret: { ...secret, name: secret.secretName } });
    throw new Error(`volume ${name} is of a kind that this kubelet does not know`);
  }

  async #source({ serviceAccountToken, configMap, secret, downwardAPI }: ProjectedSource): Promise<Files> {
    const { namespace = '' } = this.#pod.metadata;
    const { api, addresses } = this.#places;
    if (serviceAccountToken !== undefined) return await this.#token(serviceAccountToken);
    if (configMap !== undefined) return picked(await api.configMap(namespace, configMap.name), 'configmap', configMap);
    if (secret !== undefined) return picked(await api.secret(namespace, secret.name), 'secret', secret);
    const fields = downwardAPI?.items ?? [];
    return new Map(
      fields.map(({ path, fieldRef }) => [path, Buffer.from(fieldOf(this.#pod, fieldRef.fieldPath, addresses))]),
    );
  }

  async #token({ path, ...wanted }: NonNullable<ProjectedSource['serviceAccountToken']>): Promise<Files> {
    const known = this.#tokens.get(path);
    if (known !== undefined && Date.now() < known.renewAt) return new Map([[path, known.token]]);
    const { name, namespace = '', uid } = this.#pod.metadata;
    const serviceAccount = this.#pod.spec.serviceAccountName;
    const request = { ...wanted, audience: wanted.audience, namespace, serviceAccount, pod: { name, uid } };
    const { token, expirationTimestamp } = await this.#places.api.token(request);
    const now = Date.now();
    const renewAt = now + (Date.parse(expirationTimestamp) - now) * tokenShare;
    this.#tokens.set(path, { token: Buffer.from(token), renewAt });
    return new Map([[path, Buffer.from(token)]]);
  }
}

/** Maps `C:\ProgramData\lcow` or `/var/lib/lcow` into the folder that stands for the node's disks. */
export function hostFolder(nodeDirectory: string, path: string): string {
  return join(nodeDirectory, path.replaceAll('\\', '/').replace(':', ''));
}

interface Choice {
  readonly name: string;
  readonly items?: readonly { readonly key: string; readonly path: string }[] | undefined;
  readonly optional: boolean;
}

function picked(files: Files | undefined, kind: string, { name, items, optional }: Choice): Files {
  if (files === undefined && !optional) throw new Error(`${kind} "${name}" not found`);
  if (items === undefined) return files ?? new Map();
  return new Map(
    items.flatMap(({ key, path }) => {
      const content = files?.get(key);
      if (content === undefined && !optional) throw new Error(`${kind} "${name}" has no key "${key}"`);
      return content === undefined ? [] : [[path, content] as const];
    }),
  );
}

const merged = (parts: readonly Files[]): Files => new Map(parts.flatMap((part) => [...part]));

async function replace(folder: string, files: Files): Promise<void> {
  for (const [name, content] of files) {
    const path = join(folder, name);
    const present = await readFile(path).catch(() => undefined);
    if (present?.equals(content) === true) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, content, { mode: 0o644 });
    await rename(`${path}.new`, path);
  }
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const kept = [...files.keys()].some((name) => join(folder, name) === path);
    if (entry.isFile() && !kept) await rm(path);
  }
}
