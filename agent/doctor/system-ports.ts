// The node that this process runs on, for `lcow-agent doctor`.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../../runtime/clock.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import { ServiceNetworks } from '../network/host-networks.ts';
import { nodeFileSystem } from '../storage/file-system.ts';
import { localStorage } from '../storage/local-storage.ts';
import { peekRecords } from '../vm/journal.ts';
import { withLocalFile } from '../windows/open-file.ts';
import { windowsStorage } from '../windows/state-storage.ts';
import type { DoctorHcs, DoctorNetworks, DoctorPorts, ProgramResult } from './ports.ts';

export const systemPorts: DoctorPorts = {
  platform: process.platform,
  environment: process.env,
  clock: systemClock,
  readFile: (path) => readFile(path, 'utf8'),
  stateFolderProblem: (process.platform === 'win32' ? windowsStorage : localStorage).folderProblem,
  async assignments(stateDir) {
    const records = await peekRecords(nodeFileSystem, stateDir);
    return records.map(({ assignment }) => assignment).filter((assignment) => assignment !== undefined);
  },
  ...(process.platform === 'win32' && { withFile: withLocalFile }),
  async fileSecurity(path) {
    const { fileSecurity } = await import('../windows/file-security.ts');
    return fileSecurity(path);
  },
  run,
  connectHcs,
  connectHns,
  async hostFacts() {
    const { hostFacts } = await import('../windows/host-facts.ts');
    const noTopology = () => Promise.reject(new Error('not asked for'));
    return hostFacts({
      topology: noTopology,
      isolation: [],
      environment: process.env,
      program: process.argv0,
    });
  },
  connect,
};

function run(program: string, parameters: readonly string[]): Promise<ProgramResult> {
  const path = join(process.env['SystemRoot'] ?? 'C:\\Windows', 'System32', program);
  return new Promise((resolve, reject) => {
    execFile(path, parameters, { timeout: fixedTimes.doctor.program, windowsHide: true }, (error, stdout, stderr) => {
      if (error === null) resolve({ exitCode: 0, output: stdout });
      else if (typeof error.code === 'number') resolve({ exitCode: error.code, output: `${stdout}${stderr}` });
      else reject(error);
    });
  });
}

async function connectHcs(): Promise<DoctorHcs> {
  const { connectComputeCore } = await import('../windows/computecore/computecore.ts');
  return connectComputeCore();
}

async function connectHns(): Promise<DoctorNetworks> {
  const { connectComputeNetwork } = await import('../windows/computenetwork/computenetwork.ts');
  return new ServiceNetworks(connectComputeNetwork());
}

/** @param ca absent = the CAs of the system */
function connect(url: URL, ca: string | undefined): Promise<void> {
  const isSecure = url.protocol === 'wss:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || (isSecure ? 443 : 80);
  return new Promise((resolve, reject) => {
    const socket = isSecure
      ? connectTls({ host, port, minVersion: 'TLSv1.3', ...(ca !== undefined && { ca }) })
      : connectTcp({ host, port });
    socket.setTimeout(fixedTimes.doctor.connect, () =>
      socket.destroy(
        Object.assign(new Error(`no answer within ${fixedTimes.doctor.connect / 1000} s`), { code: 'ETIMEDOUT' }),
      ),
    );
    socket.once('error', reject);
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
