// A real guest whose VM is stopped on purpose while it writes to a disk, and the content of the disk afterwards. It is
// part of `npm run test:guest` and not of `npm test`, because emulation is slow.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RuntimeId } from '../../agent/node/backend.ts';
import type { GuestListener, GuestSockets } from '../../agent/node/guest-sockets.ts';
import { nodeFileSystem } from '../../agent/storage/file-system.ts';
import { FileJournal, type Journal } from '../../agent/vm/journal.ts';
import type { Assignment } from '../../protocol/messages.ts';
import type { RequestedOptions } from '../../protocol/options.ts';
import { SimulatedGuestSockets } from '../../simulator/client/guest-sockets.ts';
import { type AgentCore, type CoreNode, hasReason, isRunning, startCore } from '../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../support/agent/assignments.ts';
import { startNode, type TestNode } from '../support/agent/simulated-node.ts';
import { type Bed, prepareBed } from '../support/guest/bed.ts';
import { bedOptions } from '../support/guest/booted-guest.ts';
import { QemuBackend } from '../support/guest/qemu-backend.ts';
import { runProgram } from '../support/guest/run-program.ts';

const bootMilliseconds = 240_000;
vi.setConfig({ testTimeout: 2 * bootMilliseconds, hookTimeout: 60_000 });
const timeouts = { bootTimeout: bootMilliseconds, exit: 30_000 };
const disk = { name: 'data', path: 'C:\\disks\\data.vhd', readOnly: false, mountPath: '/mnt/data' };
const outlives = { TerminateOnAgentExit: false };

let bed: Bed;
let host: EmulatedHost;

// The first run on a machine installs an emulator and builds a device.
beforeAll(async () => {
  bed = await prepareBed();
}, 900_000);

beforeEach(async () => {
  host = await EmulatedHost.start(bed);
});

afterEach(async () => {
  await host[Symbol.asyncDispose]();
});

/** A node whose VMs are emulated machines. Its files are simulated, except for one real disk. */
class EmulatedHost implements CoreNode, AsyncDisposable {
  readonly folder: string;
  readonly image: string;
  readonly #node: TestNode;
  readonly #backend: QemuBackend;
  readonly #sockets: CuttableSockets[] = [];

  private constructor(folder: string, node: TestNode, backend: QemuBackend) {
    this.folder = folder;
    this.image = join(folder, 'disk');
    this.#node = node;
    this.#backend = backend;
  }

  static async start(usedBed: Bed): Promise<EmulatedHost> {
    const folder = await mkdtemp(join(tmpdir(), 'stop-'));
    const image = join(folder, 'disk');
    await runProgram('mke2fs', ['-q', '-t', 'ext4', image, '64M']);
    const backend = new QemuBackend(usedBed, folder, { diskFile: () => image });
    return new EmulatedHost(folder, await startNode(), backend);
  }

  /** The node and sockets of an agent. */
  async connect() {
    const { host: files } = await this.#node.connect();
    const sockets = new CuttableSockets(this.folder);
    this.#sockets.push(sockets);
    return { backend: this.#backend, host: files, sockets, close: () => sockets.cut() };
  }

  /** From now on nothing accepts the guest's connections. */
  async cutOff(): Promise<void> {
    for (const sockets of this.#sockets) await sockets.cut();
  }

  /** Reads the file as after a power failure. */
  async fileOnDisk(name: string): Promise<string> {
    return await runProgram('debugfs', ['-R', `cat ${name}`, this.image]).catch(() => '');
  }

  async isClean(): Promise<boolean> {
    const superblock = await runProgram('dumpe2fs', ['-h', this.image]);
    return /^Filesystem state: +clean$/m.test(superblock) && !superblock.includes('needs_recovery');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cutOff();
    await this.#backend.close();
    await this.#node[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The sockets of an agent that can be killed: listeners close, and every connection breaks. */
class CuttableSockets implements GuestSockets {
  readonly #sockets: GuestSockets;
  readonly #listeners = new Set<GuestListener>();
  readonly #streams = new Set<Duplex>();

  constructor(folder: string) {
    this.#sockets = new SimulatedGuestSockets(folder);
  }

  async listen(runtimeId: RuntimeId, port: number): Promise<GuestListener> {
    const listener = await this.#sockets.listen(runtimeId, port);
    this.#listeners.add(listener);
    return {
      accept: async (signal) => {
        const stream = await listener.accept(signal);
        this.#streams.add(stream);
        return stream;
      },
      close: () => listener.close(),
    };
  }

  async connect(runtimeId: RuntimeId, port: number, signal: AbortSignal): Promise<Duplex> {
    const stream = await this.#sockets.connect(runtimeId, port, signal);
    this.#streams.add(stream);
    return stream;
  }

  async cut(): Promise<void> {
    for (const listener of this.#listeners) await listener.close();
    for (const stream of this.#streams) stream.destroy();
  }
}

const optionsOf = (more: RequestedOptions = {}) => ({ ...bedOptions(bed), Disks: [disk], ...more });

async function startWriting(core: AgentCore, options: RequestedOptions = {}): Promise<void> {
  await core.supervisor.assign(makeAssignment({ options: optionsOf(options) }));
  await runs(core);
  await shell(core, 'echo written > /mnt/data/file');
}

async function runs(core: AgentCore, restartedAt?: string): Promise<void> {
  await expect
    .poll(() => isRunning(core.observed(uid)) && core.observed(uid).restartedAt === restartedAt, {
      timeout: bootMilliseconds,
    })
    .toBe(true);
}

async function shell(core: AgentCore, script: string): Promise<void> {
  const machine = core.supervisor.machine(uid);
  if (machine === undefined) throw new Error('the agent does not know the VM');
  const nothing = { stdin: false, stdout: false, stderr: false };
  const command = { args: ['/bin/sh', '-c', script] };
  const process = await machine.access.execute(command, nothing, AbortSignal.timeout(60_000));
  expect(await process.exitCode).toBe(0);
}

async function halt(core: AgentCore, options: RequestedOptions = {}): Promise<string> {
  const halted: Assignment = makeAssignment({ options: optionsOf(options), runStrategy: 'Halted', generation: 2 });
  await core.supervisor.assign(halted);
  await core.until(uid, 'halted', hasReason('Halted'));
  return core.observed(uid).lastExit?.message ?? '';
}

async function expectSaved(): Promise<void> {
  expect(await host.fileOnDisk('file')).toBe('written\n');
  expect(await host.isClean()).toBe(true);
}

const terminated = 'the VM was terminated by the agent (Halted)';

describe('data that a real guest has written and not synced', () => {
  it('is on the disk when its VM was halted', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    expect(await halt(core)).toBe(terminated);
    await expectSaved();
  });

  it('is on the disk when its VM was restarted, and when it was released', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    await core.supervisor.assign(makeAssignment({ options: optionsOf(), restartedAt: 'now', generation: 2 }));
    await runs(core, 'now');
    await shell(core, '[ "$(cat /mnt/data/file)" = written ] && echo more > /mnt/data/more');
    core.supervisor.release(uid);
    await expect.poll(() => core.removed.has(uid), { timeout: 60_000 }).toBe(true);
    expect(await host.fileOnDisk('more')).toBe('more\n');
    await expectSaved();
  });

  it('is on the disk when its agent has ended', async () => {
    const core = await startCore(host, { timeouts });
    await startWriting(core);
    await core.supervisor.endWithAgent();
    await core.kill();
    await expectSaved();
  });

  it('is on the disk although processes of the guest have its files open', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    await shell(core, '(while :; do echo again; sleep 0.1; done) > /mnt/data/log 2>&1 < /dev/null &');
    expect(await halt(core)).toMatch(
      /; \/mnt\/data \(.*resource busy\) stayed mounted and was synced and made read-only$/,
    );
    await expectSaved();
    expect(await host.fileOnDisk('log')).toMatch(/^again\n/);
  });

  it('is on the disk although another file system is mounted below it', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    await shell(core, 'mkdir /mnt/data/inner && mount -t tmpfs none /mnt/data/inner');
    expect(await halt(core)).toContain('/mnt/data (guest RPC failure');
    await expectSaved();
  });

  it('is on the disk although the agent was killed while it stopped the VM', async () => {
    const journal = new DyingJournal(`${host.folder}/agent`);
    const first = await startCore(host, { timeouts, journal });
    await startWriting(first, outlives);
    const halted = makeAssignment({ options: optionsOf(outlives), runStrategy: 'Halted', generation: 2 });
    await first.supervisor.assign(halted);
    await journal.died;
    await first.vanish();
    expect(await host.fileOnDisk('file')).toBe('');
    await using second = await startCore(host, { timeouts });
    await expect.poll(() => hasReason('Halted')(second.observed(uid)), { timeout: 60_000 }).toBe(true);
    expect(second.observed(uid).lastExit?.message).toBe(terminated);
    await expectSaved();
  });

  it('is lost when the guest cannot be reached, and the exit says so', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    await host.cutOff();
    await expect.poll(() => hasReason('GuestConnectionLost')(core.observed(uid)), { timeout: 60_000 }).toBe(true);
    expect(await halt(core)).toBe(
      `${terminated}; /mnt/data stayed mounted and was not synced: the guest is not connected`,
    );
    expect(await host.fileOnDisk('file')).toBe('');
  });

  it('stays while the disk is examined before it is mounted or unmounted', async () => {
    await using core = await startCore(host, { timeouts });
    await startWriting(core);
    await shell(core, 'mkdir -p /opt/keep && echo mine > /opt/keep/file');
    const moved = { ...disk, mountPath: '/opt/keep' };
    await core.supervisor.assign(makeAssignment({ options: { ...optionsOf(), Disks: [moved] }, generation: 2 }));
    await expect.poll(() => hasReason('DiskFailed')(core.observed(uid)), { timeout: 60_000 }).toBe(true);
    await shell(core, '[ "$(cat /opt/keep/file)" = mine ]');
    await expectSaved();
  });
});

describe('a blank disk that is ensured to have a file system', () => {
  it('is formatted once, and keeps its files over restarts', async () => {
    await rm(host.image);
    await runProgram('truncate', ['-s', '64M', host.image]);
    await using core = await startCore(host, { timeouts });
    const ensured = { Disks: [{ ...disk, filesystem: 'ext4', ensureFilesystem: true } as const] };
    await startWriting(core, ensured);
    for (const restartedAt of ['once', 'twice']) {
      await core.supervisor.assign(makeAssignment({ options: optionsOf(ensured), restartedAt, generation: 2 }));
      await runs(core, restartedAt);
      await shell(core, '[ "$(cat /mnt/data/file)" = written ]');
    }
    await halt(core, ensured);
    expect(await host.fileOnDisk('file')).toBe('written\n');
  });
});

/** The journal of an agent that dies right after it has written that it stops its VM. */
class DyingJournal implements Journal {
  readonly died: Promise<void>;
  readonly #journal: FileJournal;
  readonly #die: () => void;

  constructor(folder: string) {
    this.#journal = new FileJournal(nodeFileSystem, folder);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.died = promise;
    this.#die = resolve;
  }

  load: Journal['load'] = () => this.#journal.load();
  remove: Journal['remove'] = (machine) => this.#journal.remove(machine);
  write: Journal['write'] = async (record) => {
    await this.#journal.write(record);
    if (record.stage !== 'stopping') return;
    this.#die();
    await new Promise(() => {});
  };
}
