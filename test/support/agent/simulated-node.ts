// A simulated node for tests, in a temporary folder.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { z } from 'zod';
import type { SystemId } from '../../../agent/node/backend.ts';
import { connectSimulatedHost, type SimulatedConnection } from '../../../simulator/client/client.ts';
import { SimulatedHostControl } from '../../../simulator/client/control.ts';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { runSimulatedHost } from '../../../simulator/service/service.ts';
import { systemId } from '../../../simulator/wire/rpc.ts';

export type HostDescription = z.input<typeof simulatedHostFile>;

export const bootFolder = 'C:\\LinuxBootFiles';

/** A node that boots its guests fast. */
export const defaultHost = {
  build: 20348,
  logicalProcessors: 8,
  memoryInMB: 8192,
  files: {
    [`${bootFolder}\\vmlinux`]: 1000,
    [`${bootFolder}\\kernel`]: 1000,
    [`${bootFolder}\\initrd.img`]: 2000,
    'C:\\disks\\data.vhd': 3000,
  },
  timing: {
    createMilliseconds: 1,
    startMilliseconds: 2,
    bootMilliseconds: 5,
    initMilliseconds: 1,
    exitMilliseconds: 2,
    logIntervalMilliseconds: 20,
    redialMilliseconds: 10,
  },
} satisfies HostDescription;

export interface TestNode extends AsyncDisposable {
  readonly socketPath: string;
  readonly socketDirectory: string;
  readonly folder: string;
  readonly control: SimulatedHostControl;
  /** Another agent. */
  connect(): Promise<SimulatedConnection>;
}

export async function startNode(description: Partial<HostDescription> = {}): Promise<TestNode> {
  const folder = await mkdtemp(join(tmpdir(), 'sim-'));
  const socketPath = join(folder, 'hcs');
  const socketDirectory = join(folder, 'g');
  const running = await runSimulatedHost({
    socketPath,
    host: simulatedHostFile.parse({ ...defaultHost, ...description }),
    stateDirectory: join(folder, 'state'),
  });
  const control = await SimulatedHostControl.connect(socketPath);
  const connections: SimulatedConnection[] = [];
  return {
    socketPath,
    socketDirectory,
    folder,
    control,
    async connect() {
      const connection = await connectSimulatedHost(socketPath, socketDirectory);
      connections.push(connection);
      return connection;
    },
    async [Symbol.asyncDispose]() {
      for (const connection of connections) await connection.close();
      await control.close();
      await running.close();
      // An agent of this process that was killed may still be in the middle of a write.
      await rm(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

export function newSystemId(): SystemId {
  return systemId.parse(`luvm-${crypto.randomUUID()}`);
}

const guestCommand = 'initcall_blacklist=virtio_vsock_init 8250_core.nr_uarts=0 panic=-1 quiet pci=off nr_cpus=2';

export interface DocumentOptions {
  readonly memoryInMB?: number;
  readonly processors?: number;
  readonly command?: string;
  readonly terminatesWithLastHandle?: boolean;
}

/** A guest without a log connection, so that it lives without an agent. */
export const quietCommand = '/bin/vsockexec /bin/gcs -v4 -log-format json -loglevel info';
/** A guest that dies when its log connection is refused. */
export const loggingCommand = '/bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel info';

/** The ordinary document, kernel direct, without the parts that do not matter here (hcs-documents §12.1). */
export function ordinaryDocument(options: DocumentOptions = {}) {
  const command = options.command ?? quietCommand;
  return {
    Owner: 'lcow-agent',
    SchemaVersion: { Major: 2, Minor: 1 },
    ShouldTerminateOnLastHandleClosed: options.terminatesWithLastHandle ?? true,
    VirtualMachine: {
      StopOnReset: true,
      Chipset: {
        LinuxKernelDirect: {
          KernelFilePath: `${bootFolder}\\vmlinux`,
          InitRdPath: `${bootFolder}\\initrd.img`,
          KernelCmdLine: ` ${guestCommand} brd.rd_nr=0 pmtmr=0 -- -e 1 ${command}`,
        },
      },
      ComputeTopology: {
        Memory: { SizeInMB: options.memoryInMB ?? 1024, AllowOvercommit: true },
        Processor: { Count: options.processors ?? 2 },
      },
      Devices: {
        Scsi: { 'df6d0690-79e5-55b6-a5ec-c1e2f77f580a': {} },
        HvSocket: { HvSocketConfig: { DefaultBindSecurityDescriptor: 'D:P(A;;FA;;;SY)(A;;FA;;;BA)' } },
        Plan9: {},
      },
    },
  };
}
