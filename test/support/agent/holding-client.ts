// A process that creates and starts one VM, prints a line, and holds the VM's handle until it is killed.
import { connectSimulatedHost } from '../../../simulator/client/client.ts';
import { systemId } from '../../../simulator/wire/rpc.ts';

const [socketPath = '', socketDirectory = '', id = '', document = ''] = process.argv.slice(2);
const { backend } = await connectSimulatedHost(socketPath, socketDirectory);
const system = await backend.create(systemId.parse(id), document);
await system.start();
process.stdout.write('started\n');
