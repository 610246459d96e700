// A namespace editor joins CPU groups and resource partitions of the host that no flag allows, at the start and in a
// live change.
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { allowedCpuGroup } from '../target.ts';
import { isHeldBy, runs, sharedHost, Tenant, type TenantMachine } from '../tenant.ts';

const name = 'cpu-group';
const foreign = 'bbbbbbbb-0000-4000-8000-000000000000';
const inGroup = (cpuGroupID: string) => ({ processor: { cpuGroupID } });
const isRefused = isHeldBy('CPUGroupNotAllowed', 'ResourcePartitionNotAllowed');

async function attack(target: RunningSystem): Promise<Finding> {
  await using editor = await Tenant.create(target, name);
  const control = await target.control(sharedHost);
  const groupOf = async (vm: string) => {
    const { systemID = '' } = (await editor.get(vm)).status;
    return (await control.systems()).find(({ id }) => id === systemID)?.cpuGroup;
  };
  const starts = {
    foreign: inGroup(foreign),
    upper: inGroup(foreign.toUpperCase()),
    braces: inGroup(`{${foreign}}`),
    partition: { resourcePartitionID: allowedCpuGroup },
  };
  const refused: string[] = [];
  for (const [vm, spec] of Object.entries(starts)) {
    if (!(await editor.apply(vm, spec))) refused.push(`${vm}: by the API server`);
    else if (isRefused(await editor.until(vm, 'is refused or runs', (now) => isRefused(now) || runs(now))))
      refused.push(vm);
  }
  // The permitted use, from which the attack starts.
  await editor.apply('live', inGroup(allowedCpuGroup.toUpperCase()));
  const { status: before } = await editor.until('live', 'runs', runs);
  await editor.apply('live', inGroup(foreign));
  const { status: after } = await editor.until(
    'live',
    'is refused',
    (now) => isRefused(now) || (runs(now) && isChanged(now)),
  );
  const group = await groupOf('live');
  await control.close();
  const isKept = after.phase === 'Running' && after.runtimeID === before.runtimeID;
  const figure = `refused at the start: ${refused.join(', ')}; a running VM stays in group ${group}`;
  const isWithstood =
    refused.length === Object.keys(starts).length && isKept && group?.toLowerCase() === allowedCpuGroup;
  return isWithstood ? held(figure) : broken(figure);
}

const isChanged = ({ status }: TenantMachine) => status.observedGeneration > 1;

export const cpuGroup: Attack = {
  name,
  party: 'namespace editor',
  promise: 'A VM joins a CPU group or resource partition only if the agent of its host allows it.',
  short: true,
  run: attack,
};
