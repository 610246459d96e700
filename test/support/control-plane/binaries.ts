// The programs of a control plane: those in the folder KUBEBUILDER_ASSETS, which users of envtest set (`setup-envtest
// use --print path`), else our own build.
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from './build.ts';

export interface Binaries {
  readonly etcd: string;
  readonly apiServer: string;
  readonly kubectl: string;
  /** Absent in a folder of envtest. */
  readonly controllerManager?: string;
}

export const assetsVariable = 'KUBEBUILDER_ASSETS';

export interface Wanted {
  /** Whether a controller manager is needed: ours is built if the user's folder has none. */
  readonly controllers: boolean;
}

export async function findBinaries({ controllers }: Wanted): Promise<Binaries> {
  const assets = process.env[assetsVariable];
  if (assets === undefined || assets === '') return inFolder(await build());
  const { controllerManager, ...given } = inFolder(assets);
  for (const program of Object.values(given))
    if (!(await isExecutable(program))) throw new Error(`${assetsVariable} is ${assets}, and ${program} is not there`);
  if (await isExecutable(controllerManager)) return { ...given, controllerManager };
  return controllers ? { ...given, controllerManager: inFolder(await build()).controllerManager } : given;
}

function inFolder(folder: string) {
  return {
    etcd: join(folder, 'etcd'),
    apiServer: join(folder, 'kube-apiserver'),
    kubectl: join(folder, 'kubectl'),
    controllerManager: join(folder, 'kube-controller-manager'),
  };
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
