// An agent without the link to the operator, using the binding of computecore.dll on a service process. It kills itself
// with SIGKILL at a chosen point. Its argument is JSON (`crashAgentOrder`). It prints a line if it finishes without
// reaching that point.
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
