// The VMs of an agent, without its link to the operator, on the bed: real guests, simulated host files.
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { GuestLogFile } from '../../agent/guest-log-file.ts';
import { SimulatedGuestSockets } from '../../agent/hcs/simulated/guest-sockets.ts';
import { FileJournal } from '../../agent/journal.ts';
import { prepareBoot } from '../../agent/preparation.ts';
import { Supervisor } from '../../agent/supervisor.ts';
import { defaultTimeouts } from '../../agent/timeouts.ts';
import { systemClock } from '../../protocol/clock.ts';
import { startNode } from '../agent/hcs/simulated-node.ts';
import type { Bed } from './bed.ts';
import { QemuBackend } from './qemu-backend.ts';

export interface AgentOnBed extends AsyncDisposable {
  readonly supervisor: Supervisor;
}

export async function startAgent(bed: Bed): Promise<AgentOnBed> {
  const folder = await mkdtemp(join(tmpdir(), 'bed-'));
  const node = await startNode();
  const { host } = await node.connect();
  const backend = new QemuBackend(bed, folder);
  const stop = new AbortController();
  const stateFolder = 'C:\\ProgramData\\lcow';
  const allowed = { paths: ['C:\\'], pipes: [], devices: [] };
  const supervisor = new Supervisor(
    {
      clock: systemClock,
      random: Math.random,
      randomBytes,
      backend,
      host,
      sockets: new SimulatedGuestSockets(folder),
      journal: new FileJournal(join(folder, 'state')),
      timeouts: { ...defaultTimeouts, recovery: 200 },
      logger: pino({ level: process.env['LCOW_TEST_LOG'] ?? 'silent' }),
      agentBootID: randomUUID(),
      openGuestLog: (uid) =>
        new GuestLogFile({ folder: join(folder, 'state', 'vms', uid), onFailure: () => undefined }),
      prepare: (assignment) => prepareBoot(assignment, { backend, host, randomGuid: randomUUID, stateFolder, allowed }),
    },
    { changed: () => {}, removed: () => {}, logged: () => {}, serviceLost: () => {} },
    stop.signal,
  );
  await supervisor.recover();
  return {
    supervisor,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await backend.close();
      await supervisor.ended();
      await node[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
