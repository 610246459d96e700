// Reports about VMs that do not exist, of the largest allowed size and larger.
import { type Attack, broken } from '../attack.ts';
import { flood, inventedUid, observedMachine, SeizedNode } from '../seized-node.ts';

const milliseconds = 30_000;
const invented = 2_500;

export const reportFlood: Attack = {
  name: 'report-flood',
  party: 'agent',
  promise: 'Reports of invented VMs use a bounded amount of memory.',
  short: false,
  async run(target) {
    await using node = await SeizedNode.take(target);
    const socket = await node.dial();
    if (socket === undefined) return broken('the node could not connect');
    await node.welcomed(socket);
    const sent = (await flood(socket, small(), milliseconds)) + (await flood(socket, large(), milliseconds / 3));
    socket.terminate();
    return await node.verdict(`${sent} reports were sent`);
  },
};

/** Reports within the allowed size. */
function* small(): Iterable<string> {
  const path = `C:\\${'x'.repeat(1_000)}`;
  const scsi = Array.from({ length: 60 }, (_, lun) => ({ controller: 0, lun, path }));
  for (let index = 0; index < invented; index += 1) {
    const devices = { vpmem: [], scsi, assigned: [] };
    yield JSON.stringify({ type: 'observed', virtualMachine: observedMachine(inventedUid(index), { devices }) });
  }
}

/** Reports as large as a frame can be. */
function* large(): Iterable<string> {
  const items = Array.from({ length: 250_000 }, () => ({}));
  const devices = { vpmem: items, scsi: [], assigned: [] };
  for (let index = 0; index < invented; index += 1) {
    yield JSON.stringify({ type: 'observed', virtualMachine: { ...observedMachine(inventedUid(index)), devices } });
  }
}
