// One emulator that boots the document of a VM. It emulates in software, because hardware virtualisation is rarely
// available where tests run. Its vsock device connects each port of the host to a Unix socket beside the other sockets
// of its VM.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { SystemExit } from '../../../agent/node/backend.ts';
import type { Bed } from './bed.ts';

/** The parts of a document that an emulator can use. */
export const bootableDocument = z.object({
  Owner: z.string(),
  VirtualMachine: z.object({
    Chipset: z.object({ LinuxKernelDirect: z.object({ KernelCmdLine: z.string() }) }),
    ComputeTopology: z.object({
      Memory: z.object({ SizeInMB: z.int() }),
      Processor: z.object({ Count: z.int() }),
    }),
    Devices: z.object({ ComPorts: z.record(z.string(), z.object({ NamedPipe: z.string() })).default({}) }).prefault({}),
  }),
});
export type BootableDocument = z.infer<typeof bootableDocument>;

/** The two words of the command line that apply to Hyper-V only: here vsock is a virtio device on a PCI bus. */
const hyperVOnly: ReadonlySet<string> = new Set(['initcall_blacklist=virtio_vsock_init', 'pci=off']);

export function commandLineHere(commandLine: string): string {
  const [kernel = '', ...rest] = commandLine.split(' -- ');
  const words = kernel.split(' ').filter((word) => !hyperVOnly.has(word));
  return [words.join(' '), ...rest].join(' -- ');
}

const event = z.object({
  event: z.string(),
  data: z.object({ reason: z.string().optional(), device: z.string().optional() }).optional(),
});
const answer = z.object({ id: z.int(), error: z.object({ desc: z.string() }).optional() });

export interface MachineFiles {
  /** Ports of the host are sockets named `<socketPrefix>_<port>`. */
  readonly socketPrefix: string;
  /** A folder for this VM alone. */
  readonly folder: string;
  /** The socket that stands in for the named pipe of a serial port. */
  readonly consolePath: (pipe: string) => string;
}

export class QemuMachine {
  /** Never rejects. */
  readonly exited: Promise<SystemExit>;
  readonly #emulator: ChildProcess;
  readonly #device: ChildProcess;
  #reason: string | undefined;
  readonly #commands = new Map<number, PromiseWithResolvers<void>>();
  readonly #deleted = new Map<string, () => void>();
  #nextCommand = 1;

  private constructor(emulator: ChildProcess, device: ChildProcess, complain: (text: string) => void) {
    this.#emulator = emulator;
    this.#device = device;
    this.exited = once(emulator, 'close').then(() => this.#exit());
    emulator.stderr?.setEncoding('utf8').on('data', complain);
    if (emulator.stdout !== null) createInterface(emulator.stdout).on('line', (line) => this.#observe(line));
  }

  /** @param complain receives the errors of the emulator, such as a kernel that it cannot boot */
  static async start(
    bed: Bed,
    document: BootableDocument,
    files: MachineFiles,
    complain: (text: string) => void,
  ): Promise<QemuMachine> {
    const deviceSocket = join(files.folder, 'device');
    const device = spawn(
      bed.vsockDevice,
      ['--guest-cid', '3', '--socket', deviceSocket, '--uds-path', files.socketPrefix],
      { stdio: 'ignore' },
    );
    const ended = once(device, 'exit').then(([code]) => new Error(`the vsock device ended with ${code}`));
    const failed = ended.then((error) => Promise.reject(error));
    failed.catch(() => undefined);
    await Promise.race([untilThere(deviceSocket), failed]);
    const emulator = spawn(bed.emulator, emulatorArguments(bed, document, files, deviceSocket), {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    await once(emulator, 'spawn');
    emulator.stdin?.on('error', () => undefined);
    emulator.stdin?.write('{"execute":"qmp_capabilities"}\n');
    return new QemuMachine(emulator, device, complain);
  }

  /** Adds a disk on the first SCSI controller; the file is a raw image. */
  async plugDisk(lun: number, file: string, readOnly: boolean): Promise<void> {
    const node = { 'node-name': `disk${lun}`, driver: 'raw', 'read-only': readOnly };
    await this.#command('blockdev-add', { ...node, file: { driver: 'file', filename: file, 'read-only': readOnly } });
    const place = { bus: 'controller.0', channel: 0, 'scsi-id': 0, lun };
    await this.#command('device_add', { driver: 'scsi-hd', id: `scsi${lun}`, drive: `disk${lun}`, ...place });
  }

  async unplugDisk(lun: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#deleted.set(`scsi${lun}`, resolve);
    await this.#command('device_del', { id: `scsi${lun}` });
    await promise;
    await this.#command('blockdev-del', { 'node-name': `disk${lun}` });
  }

  #command(execute: string, given: object): Promise<void> {
    const id = this.#nextCommand;
    this.#nextCommand += 1;
    const pending = Promise.withResolvers<void>();
    this.#commands.set(id, pending);
    this.#emulator.stdin?.write(`${JSON.stringify({ execute, arguments: given, id })}\n`);
    return pending.promise;
  }

  /** Cuts the power. */
  kill(): void {
    this.#reason ??= 'host-signal';
    this.#emulator.kill('SIGKILL');
  }

  #observe(line: string): void {
    const said: unknown = JSON.parse(line);
    const happened = event.safeParse(said).data;
    if (happened?.event === 'SHUTDOWN') this.#reason ??= happened.data?.reason;
    if (happened?.event === 'DEVICE_DELETED') this.#deleted.get(happened.data?.device ?? '')?.();
    const { error, id } = answer.safeParse(said).data ?? {};
    const pending = id === undefined ? undefined : this.#commands.get(id);
    if (error === undefined) pending?.resolve();
    else pending?.reject(new Error(error.desc));
  }

  #exit(): SystemExit {
    this.#device.kill('SIGKILL');
    if (this.#reason === 'guest-shutdown') return { exitType: 'GracefulExit', status: 0 };
    if (this.#reason === 'host-signal') return { exitType: 'ForcedExit', status: 0 };
    return { exitType: 'UnexpectedExit', status: 0 };
  }
}

function emulatorArguments(
  bed: Bed,
  document: BootableDocument,
  { consolePath }: MachineFiles,
  deviceSocket: string,
): string[] {
  const { Chipset, ComputeTopology, Devices } = document.VirtualMachine;
  const memory = `${ComputeTopology.Memory.SizeInMB}M`;
  return [
    ...['-accel', 'tcg,thread=multi', '-M', 'q35,memory-backend=mem0', '-cpu', 'max', '-m', memory],
    ...['-object', `memory-backend-memfd,id=mem0,size=${memory},share=on`],
    ...['-smp', `${ComputeTopology.Processor.Count}`],
    ...['-kernel', bed.kernel, '-initrd', bed.initrd],
    ...['-append', commandLineHere(Chipset.LinuxKernelDirect.KernelCmdLine)],
    ...['-chardev', `socket,id=c0,path=${deviceSocket}`, '-device', 'vhost-user-vsock-pci,chardev=c0'],
    ...['-device', 'virtio-scsi-pci,id=controller'],
    // Nobody has to be connected: the console's output is then lost, as with the pipe of a Windows host.
    ...Object.entries(Devices.ComPorts).flatMap(([port, { NamedPipe }]) => [
      ...['-chardev', `socket,id=com${port},path=${consolePath(NamedPipe)},server=on,wait=off`],
      ...['-serial', `chardev:com${port}`],
    ]),
    // A guest that resets itself ends, as with HCS (StopOnReset).
    ...['-nodefaults', '-no-reboot', '-display', 'none'],
    ...['-chardev', 'stdio,id=control', '-mon', 'chardev=control,mode=control'],
  ];
}

async function untilThere(path: string): Promise<void> {
  for (let turn = 0; turn < 1200; turn += 1) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return;
    await sleep(25);
  }
  throw new Error('the vsock device did not come up');
}
