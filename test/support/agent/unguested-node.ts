// A node with the compute systems of the computecore double, which has no guests: its VMs only fetch entropy. Files are
// those of a simulated node.
import { PassThrough } from 'node:stream';
import type { GuestListener, GuestSockets } from '../../../agent/node/guest-sockets.ts';
import type { ComputeCoreDouble } from '../doubles/computecore.ts';
import type { CoreNode } from './agent-core.ts';
import { makeAssignment } from './assignments.ts';
import type { TestNode } from './simulated-node.ts';

/** Options of a VM that is up once its guest has fetched entropy. */
export const unguested = { UseGuestConnection: false, ForwardStdout: false, ForwardStderr: false };

export const unguestedAssignment = (changes: Parameters<typeof makeAssignment>[0] = {}) =>
  makeAssignment({ ...changes, options: { ...unguested, ...changes.options } });

export function unguestedNode(node: TestNode, double: ComputeCoreDouble): CoreNode {
  return {
    folder: node.folder,
    async connect() {
      const { close, host } = await node.connect();
      const backend = double.connect();
      return {
        backend,
        host,
        sockets: entropySockets,
        async close() {
          await backend.close();
          await close();
        },
      };
    },
  };
}

const entropySockets: GuestSockets = {
  listen: (_, port) => Promise.resolve(port === 1 ? entropyListener() : silentListener()),
  connect: () => Promise.reject(new Error('there is no guest')),
};

function entropyListener(): GuestListener {
  return {
    accept: () => Promise.resolve(new PassThrough().resume()),
    close: () => Promise.resolve(),
  };
}

function silentListener(): GuestListener {
  return {
    accept: (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
        if (signal.aborted) reject(signal.reason);
      }),
    close: () => Promise.resolve(),
  };
}
