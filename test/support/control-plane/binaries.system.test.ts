// The programs of a control plane: those of KUBEBUILDER_ASSETS, if the user has set it.
import { chmod, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { assetsVariable, findBinaries } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { kubectl } from './kubectl.ts';

let assets: string;
beforeEach(async () => {
  assets = await mkdtemp(join(tmpdir(), 'assets-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(assets, { recursive: true });
});

/** A folder in the layout of envtest, with our own programs. */
async function fill(...programs: readonly string[]): Promise<void> {
  const own = Object.values(await findBinaries({ controllers: true }));
  for (const program of programs) {
    const found = own.find((path) => path.endsWith(`/${program}`));
    if (found !== undefined) await symlink(found, join(assets, program));
  }
  vi.stubEnv(assetsVariable, assets);
}

it('come from the envtest folder, which has no controller manager', async () => {
  await fill('etcd', 'kube-apiserver', 'kubectl');
  const found = await findBinaries({ controllers: false });
  expect(Object.values(found).sort()).toEqual(['etcd', 'kube-apiserver', 'kubectl'].map((name) => join(assets, name)));
  const cluster = await startControlPlane({ controllers: false });
  try {
    expect(await kubectl(cluster, ['get', 'namespace', 'default', '-o', 'name'])).toBe('namespace/default\n');
  } finally {
    await cluster.stop();
  }
});

it('include our controller manager if one is needed and the folder has none', async () => {
  await fill('etcd', 'kube-apiserver', 'kubectl');
  const { controllerManager = '' } = await findBinaries({ controllers: true });
  expect(controllerManager.startsWith(assets)).toBe(false);
  expect(await readlink(controllerManager)).toBe('controlplane');
});

it('include the controller manager of the folder if it has one', async () => {
  await fill('etcd', 'kube-apiserver', 'kubectl');
  const own = join(assets, 'kube-controller-manager');
  await writeFile(own, '');
  await chmod(own, 0o755);
  expect(await findBinaries({ controllers: true })).toMatchObject({ controllerManager: own });
});

it('are reported by name when they are missing', async () => {
  await fill('etcd', 'kubectl');
  await expect(findBinaries({ controllers: false })).rejects.toThrow(
    `${assetsVariable} is ${assets}, and ${join(assets, 'kube-apiserver')} is not there`,
  );
});
