// An agent in a process of its own, whose VMs are emulated by the process that started it. So its VMs survive when it
// is killed, as those of HCS do. It has one VM, and tells its parent about each change. Its argument is JSON
// (`killableOrder`).
import '../../../agent/thread-pool.ts';
import { z } from 'zod';
import type { ComputeSystem, HcsBackend, RuntimeId, SystemId } from '../../../agent/node/backend.ts';
import type { GuestSockets } from '../../../agent/node/guest-sockets.ts';
import { assignment as assignmentSchema } from '../../../protocol/messages.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { SimulatedGuestSockets } from '../../../simulator/client/guest-sockets.ts';
import { startCore } from '../agent/agent-core.ts';
import { answerOfParent, type CallOfAgent, killableOrder } from './killable-messages.ts';

const order = killableOrder.parse(z.json().parse(JSON.parse(process.argv[2] ?? '')));
const assignment = assignmentSchema.parse(order.assignment);
const pending = new Map<number, PromiseWithResolvers<unknown>>();
let nextId = 1;

function call(name: CallOfAgent['call'], argument = ''): Promise<unknown> {
  const id = nextId++;
  const answer = Promise.withResolvers<unknown>();
  pending.set(id, answer);
  process.send?.({ id, call: name, argument } satisfies CallOfAgent);
  return answer.promise;
}

const properties = z.object({
  owner: z.string(),
  state: z.enum(['Created', 'Running', 'Stopped']),
  runtimeId: z.string(),
});

function systemOf(id: SystemId): ComputeSystem {
  return {
    id,
    ended: new Promise(() => {}),
    async start() {
      await call('start');
    },
    shutdown: () => Promise.reject(new Error('not here')),
    async terminate() {
      await call('terminate');
    },
    modify: () => Promise.reject(new Error('not here')),
    async properties() {
      const { runtimeId, ...known } = properties.parse(await call('properties'));
      return { id, ...known, runtimeId: asRuntimeId(runtimeId) };
    },
    statistics: () => Promise.resolve({}),
    close: () => Promise.resolve(),
  };
}

function asRuntimeId(guid: string): RuntimeId {
  return guid as RuntimeId;
}

const backend: HcsBackend = {
  processorTopology: () => Promise.resolve({ logicalProcessorCount: 2 }),
  enumerate: () => Promise.resolve([]),
  async create(id, document) {
    await call('create', document);
    return systemOf(id);
  },
  open: () => Promise.reject(new Error('not here')),
  grantVmAccess: () => Promise.resolve(),
  revokeVmAccess: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

const own = new SimulatedGuestSockets(order.sockets);
const sockets: GuestSockets = {
  async listen(runtimeId, port) {
    const listener = await own.listen(runtimeId, port);
    await call('listen', String(port));
    return listener;
  },
  connect: (runtimeId, port, signal) => own.connect(runtimeId, port, signal),
};

const core = await startCore(
  {
    folder: order.folder,
    async connect() {
      const { close, host } = await connectSimulatedHost(order.socketPath, order.socketDirectory);
      return { backend, host, sockets, close };
    },
  },
  {
    timeouts: { bootTimeout: order.bootTimeout },
    guestLogFile: { maxBytes: order.logBytes },
    listener: {
      changed: (uid) => process.send?.({ observed: core.observed(uid) }),
      removed: () => undefined,
    },
  },
);

process.on('message', (message) => {
  const { error, execute, id, result } = answerOfParent.parse(message);
  if (execute !== undefined) {
    const nothing = { stdin: false, stdout: false, stderr: false };
    const command = { args: ['/bin/sh', '-c', execute] };
    core.supervisor
      .machine(assignment.uid)
      ?.access.execute(command, nothing, AbortSignal.timeout(60_000))
      .then(
        ({ exitCode }) => exitCode.then((code) => process.send?.({ executed: code })),
        (refusal: unknown) => process.send?.({ refused: messageOf(refusal) }),
      );
  }
  if (id === undefined) return;
  if (error === undefined) pending.get(id)?.resolve(result);
  else pending.get(id)?.reject(new Error(error));
});

await core.supervisor.assign(assignment);
