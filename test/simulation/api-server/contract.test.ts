import { beforeAll } from 'vitest';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import { Process } from '../process.ts';
import { World } from '../world.ts';
import type { ContractSubject } from './contract/subject.ts';
import { describeApiServer } from './contract.ts';
import { SimulatedApiServer } from './server.ts';

const hour = 3_600_000;
const token = { token: 'known', audience: 'lcow-operator', username: 'system:serviceaccount:default:lcow-agent' };

let subject: ContractSubject;

beforeAll(() => {
  const world = new World({ seed: 1 });
  const server = new SimulatedApiServer({
    world,
    reviewToken: (shown, audiences) =>
      shown === token.token && audiences.includes(token.audience) ? { username: token.username } : undefined,
  });
  const process = new Process(world, 'operator');
  const { clock } = process;
  subject = {
    http: new KubeHttp({ access: server.accessFor(process), clock, random: () => 0.5, version: 'test' }),
    clock,
    namespace: 'contract',
    token,
    run: async (work) => {
      let isDone = false;
      const done = world
        .delay(0, 'contract')
        .then(work)
        .finally(() => {
          isDone = true;
        });
      // The caller receives a failure once the world stands still.
      done.catch(() => {});
      await world.run(world.elapsed + hour, () => isDone);
      if (!isDone) throw new Error('nothing happens any more');
      return done;
    },
  };
});

describeApiServer('the simulated API server', () => subject);
