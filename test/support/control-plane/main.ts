// `node test/support/control-plane/main.ts` starts a control plane with our kinds, prints its kubeconfig and waits for Ctrl-C.
import { once } from 'node:events';
import { startControlPlane } from './control-plane.ts';
import { installCustomResources } from './custom-resources.ts';

const controlPlane = await startControlPlane();
const ended = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
try {
  await installCustomResources(controlPlane);
  process.stdout.write(`${controlPlane.kubeconfigPath}\n`);
  await ended;
} finally {
  await controlPlane.stop();
}
