// An agent without its link to the operator, on the binding of computecore.dll over a service process, that is killed at a
// chosen point of what it does: SIGKILL to itself. Its argument is JSON (`crashAgentOrder`); it prints a line when it has
// done all without coming there.
import '../../../agent/thread-pool.ts';
import { z } from 'zod';
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { isMethod } from '../../../simulator/wire/rpc.ts';
import { ComputeCoreService } from '../doubles/computecore-service.ts';
import { startCore } from './agent-core.ts';
import { Outside } from './crash-points.ts';
import { journalIn, LateJournal } from './crash-scenarios.ts';
import { course, crashAgentOrder } from './process-crash-points.ts';

const { journalIsLate, point, scenario, ...node } = crashAgentOrder.parse(
  z.json().parse(JSON.parse(process.argv[2] ?? '')),
);
const connection = await connectSimulatedHost(node.socketPath, node.socketDirectory);
const service = await ComputeCoreService.connect(node.socketPath, node.socketDirectory);
if ('method' in point && isMethod(point.method)) service.dieAt(point.method, point.number, point.when);
const outside = new Outside('call' in point ? point : undefined, () => process.kill(process.pid, 'SIGKILL'));
const core = await startCore(
  { folder: node.folder, connect: async () => ({ ...connection, backend: service.backend() }) },
  { outside, journal: journalIsLate ? new LateJournal(journalIn(node)) : journalIn(node) },
);
await course(scenario).play(core);
process.stdout.write('done\n');
