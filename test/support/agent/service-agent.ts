// An agent without the link to the operator, using the binding of computecore.dll on a service process. Its arguments
// are the node's socket, the folder of guest sockets, the node's folder, and whether its VM outlives it. It prints a
// line of JSON when the VM runs, and is then killed by the test.
import '../../../agent/thread-pool.ts';
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { ComputeCoreService } from '../doubles/computecore-service.ts';
import { isRunning, startCore } from './agent-core.ts';
import { makeAssignment, someUid as uid } from './assignments.ts';

const [, , socketPath = '', socketDirectory = '', folder = '', outlives] = process.argv;
const connection = await connectSimulatedHost(socketPath, socketDirectory);
const service = await ComputeCoreService.connect(socketPath, socketDirectory);
const core = await startCore({
  folder,
  connect: async () => ({ ...connection, backend: service.backend() }),
});
const options = outlives === 'outlives' ? { TerminateOnAgentExit: false } : {};
await core.supervisor.assign(makeAssignment({ options }));
const { lastExit, restarts, runtimeID } = await core.until(uid, 'running', isRunning);
process.stdout.write(`${JSON.stringify({ lastExit: lastExit?.type, restarts, runtimeID })}\n`);
