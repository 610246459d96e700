// `kubectl luvm restart`: sets the annotation that restarts the VM. The spec does not change, so it stays as Git has
// it.
import { restartedAtAnnotation } from '../crds/names.ts';
import { type CommandPorts, exitCodes } from './commands.ts';
import { machinePath } from './status.ts';
import { writeTo } from './terminal.ts';

export async function restart(name: string, { api, clock, terminal }: CommandPorts): Promise<number> {
  const restartedAt = new Date(clock.now()).toISOString();
  await api.json({
    method: 'PATCH',
    path: machinePath(api.namespace, name),
    query: new URLSearchParams({ fieldManager: 'kubectl-luvm' }),
    body: { metadata: { annotations: { [restartedAtAnnotation]: restartedAt } } },
  });
  await writeTo(
    terminal.output,
    `linuxutilityvm.lcow.dev/${name} restarted (${restartedAtAnnotation}=${restartedAt})\n`,
  );
  return exitCodes.ok;
}
