// Parts of a hello that never ends, 1 MB each, on as many connections as a node can have.
import type { Attack } from '../attack.ts';
import { flood, hello, inventedUid, observedMachine, SeizedNode } from '../seized-node.ts';

const milliseconds = 20_000;

export const helloFlood: Attack = {
  name: 'hello-flood',
  party: 'agent',
  promise: 'A hello that never ends costs a bounded amount of memory, and ends no other session.',
  short: false,
  async run(target) {
    await using node = await SeizedNode.take(target);
    const end = performance.now() + milliseconds;
    let parts = 0;
    const attack = async () => {
      while (performance.now() < end) {
        const socket = await node.dial();
        if (socket === undefined) await new Promise((resolve) => setTimeout(resolve, 100));
        else parts += await flood(socket, endless(), end - performance.now());
        socket?.terminate();
      }
    };
    await Promise.all([attack(), attack(), attack(), attack()]);
    return await node.verdict(`${parts} parts were sent in ${milliseconds / 1_000} s`);
  },
};

function* endless(): Iterable<string> {
  const filler = 'x'.repeat(250_000);
  for (let index = 0; ; index += 4) {
    const virtualMachines = [0, 1, 2, 3].map((each) => ({
      ...observedMachine(inventedUid(index + each), { warnings: Array.from({ length: 16 }, () => 'w'.repeat(512)) }),
      unknown: filler,
    }));
    yield JSON.stringify(hello({ virtualMachines, last: false }));
  }
}
