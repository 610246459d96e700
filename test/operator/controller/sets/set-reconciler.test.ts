// The budget of a set while the API server's answers get lost.
import { expect, it } from 'vitest';
import { restartedAtAnnotation } from '../../../../crds/names.ts';
import { VirtualMachines } from '../../../../operator/controller/knowledge/virtual-machines.ts';
import { SetReconciler } from '../../../../operator/controller/sets/set-reconciler.ts';
import { connectionError, failed, type Outcome } from '../../../../operator/kubernetes/api-error.ts';
import { clientsOver } from '../../../../operator/kubernetes/caches.ts';
import type { ClusterAccess } from '../../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../../operator/kubernetes/http.ts';
import { type MachineSet, parseSet, parseVirtualMachine } from '../../../../operator/kubernetes/objects.ts';
import type { Answer, Exchange } from '../../../../operator/kubernetes/transport.ts';
import type { Result } from '../../../../operator/queue/result.ts';
import { SimulatedApiServer } from '../../../simulation/api-server/server.ts';
import { Process } from '../../../simulation/process.ts';
import { World } from '../../../simulation/world.ts';

const namespace = 'default';
const setName = { name: 'web', namespace };

/** `isLost`: the request takes effect, and its answer does not arrive. */
function subject(isLost: (request: Exchange) => boolean) {
  const world = new World({ seed: 1 });
  const api = new SimulatedApiServer({ world });
  const process = new Process(world, 'operator');
  const { clock } = process;
  const http = new KubeHttp({
    access: lossy(api.accessFor(process), isLost),
    clock,
    random: () => 0.5,
    version: 'test',
  });
  const machines = new VirtualMachines();
  const drained = new Set<string>();
  const evicted: string[] = [];
  const set = (): MachineSet | undefined => parseSet(api.users.get('LinuxUtilityVMSet', setName));
  const reconciler = new SetReconciler({
    http,
    clients: clientsOver(http),
    sets: { get: set },
    machines,
    untilAsked: ({ metadata }) => (drained.has(metadata.name) ? 0 : undefined),
    evict: async ({ metadata }) => {
      evicted.push(metadata.name);
      return { kind: 'Done' };
    },
    wakeMachine: () => {},
    record: () => {},
    observer: { setWritten: () => {} },
    clock,
    stop: new AbortController().signal,
  });
  const pass = async (): Promise<Result> => {
    let result: Result | undefined;
    const ended = world.delay(1_000, 'test').then(async () => {
      result = await reconciler.reconcile('default/web');
    });
    await world.run(world.elapsed + 60_000, () => result !== undefined);
    await ended;
    return result ?? { kind: 'Done' };
  };
  /** The VMs are up, and the cache follows. */
  const allReady = () => {
    for (const { metadata } of api.users.list('LinuxUtilityVM')) {
      const lastTransitionTime = new Date(clock.now()).toISOString();
      const conditions = [{ type: 'Ready', status: 'True', reason: 'Running', message: '', lastTransitionTime }];
      const readyRevision = metadata.labels?.['lcow.dev/revision'];
      const status = { observedGeneration: metadata.generation, phase: 'Running', conditions, readyRevision };
      api.users.patchStatus('LinuxUtilityVM', metadata, status);
      const object = parseVirtualMachine(api.users.get('LinuxUtilityVM', metadata));
      if (object !== undefined) machines.remember(object);
    }
  };
  return { api, allReady, drained, evicted, pass };
}

function lossy(access: ClusterAccess, isLost: (request: Exchange) => boolean): ClusterAccess {
  return {
    server: access.server,
    credentials: async (fresh) => {
      const { headers, transport } = await access.credentials(fresh);
      const exchange = async (request: Exchange): Promise<Outcome<Answer>> => {
        const outcome = await transport.exchange(request);
        return isLost(request) ? failed(connectionError('ConnectionFailed', 'other side closed')) : outcome;
      };
      return { headers, transport: { exchange, open: (request) => transport.open(request) } };
    },
  };
}

it('spends no slot that a write without an answer may have spent', async () => {
  let loses = false;
  const { allReady, api, drained, evicted, pass } = subject(({ method }) => loses && method === 'PATCH');
  api.users.create('LinuxUtilityVMSet', { metadata: setName, spec: { replicas: 2, template: { spec: {} } } });
  await pass();
  allReady();
  await pass();
  expect(api.users.list('LinuxUtilityVM')).toHaveLength(2);
  const template = { spec: { processor: { count: 3 } } };
  api.users.patch('LinuxUtilityVMSet', setName, { spec: { template } });
  await pass();
  loses = true;
  expect(await pass()).toMatchObject({ kind: 'Retry' });
  loses = false;
  const restarted = api.users
    .list('LinuxUtilityVM')
    .filter((each) => each.metadata.annotations?.[restartedAtAnnotation]);
  expect(restarted.map(({ metadata }) => metadata.name)).toEqual(['web-1']);
  drained.add('web-0');
  await pass();
  await pass();
  expect(evicted).toEqual([]);
});
