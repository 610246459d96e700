// The contract of HCS backends, kept by the simulated host of the simulated world. The suite waits in real time while
// the world runs beside it.
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { describeBackend } from '../../support/agent/backend-contract.ts';
import { defaultHost, newSystemId, ordinaryDocument } from '../../support/agent/simulated-node.ts';
import { Process } from '../process.ts';
import { World } from '../world.ts';
import { SimulatedHost } from './host.ts';

describeBackend('the simulated host in the simulated world', async () => {
  const world = new World({ seed: 1 });
  const host = new SimulatedHost({ world, name: 'host-1', host: simulatedHostFile.parse(defaultHost) });
  let agents = 0;
  const another = async () => {
    agents += 1;
    const { backend } = await host.connect(new Process(world, `agent-${agents}`));
    return backend;
  };
  const running = runBeside(world);
  return {
    backend: await another(),
    newId: newSystemId,
    document: (options) => JSON.stringify(ordinaryDocument(options)),
    another,
    [Symbol.asyncDispose]: () => running.stop(),
  };
});

/** Runs the world, a second at a time, until it is stopped. */
function runBeside(world: World): { stop(): Promise<void> } {
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      await world.run(world.elapsed + 1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const ended = run();
  return {
    stop: async () => {
      isStopped = true;
      await ended;
    },
  };
}
