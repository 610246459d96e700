import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { GuestBridge } from '../../../agent/guest/bridge/bridge.ts';
import { serveEntropy } from '../../../agent/guest/entropy.ts';
import type { GuestLogRecord } from '../../../agent/guest/log/record.ts';
import { readGuestLog } from '../../../agent/guest/log/stream.ts';
import type { ComputeSystem } from '../../../agent/node/backend.ts';
import { type GuestListener, guestPorts } from '../../../agent/node/guest-sockets.ts';
import { systemClock } from '../../../runtime/clock.ts';
import type { SimulatedConnection } from '../../../simulator/client/client.ts';
import {
  type DocumentOptions,
  loggingCommand,
  newSystemId,
  ordinaryDocument,
  startNode,
  type TestNode,
} from '../../support/agent/simulated-node.ts';
import { until } from '../../support/until.ts';

const bound = () => AbortSignal.timeout(10_000);
const relayed = '/bin/vsockexec -r -e 109 /bin/gcs -v4 -log-format json -loglevel info';

interface Machine {
  readonly system: ComputeSystem;
  readonly entropy: GuestListener;
  readonly log: GuestListener;
  readonly bridge: GuestListener;
}

/** A machine that is created and has its listeners, and is not started. */
async function createMachine(connection: SimulatedConnection, options: DocumentOptions = {}): Promise<Machine> {
  const { backend, sockets } = connection;
  const system = await backend.create(
    newSystemId(),
    JSON.stringify(ordinaryDocument({ command: loggingCommand, ...options })),
  );
  const { runtimeId } = await system.properties();
  if (runtimeId === undefined) throw new Error('no runtime id');
  const [entropy, log, bridge] = await Promise.all([
    sockets.listen(runtimeId, guestPorts.entropy),
    sockets.listen(runtimeId, guestPorts.log),
    sockets.listen(runtimeId, guestPorts.bridge),
  ]);
  return { system, entropy, log, bridge };
}

interface Booted extends Machine {
  readonly records: GuestLogRecord[];
  readonly logEnded: Promise<unknown>;
  readonly guest: GuestBridge;
}

async function boot(connection: SimulatedConnection, options: DocumentOptions = {}): Promise<Booted> {
  const machine = await createMachine(connection, options);
  const seeded = serveEntropy(machine.entropy, randomBytes, bound());
  const logStream = machine.log.accept(bound());
  await machine.system.start();
  await seeded;
  const records: GuestLogRecord[] = [];
  const logEnded = collect(await logStream, records);
  const guest = GuestBridge.connect(await machine.bridge.accept(bound()), { clock: systemClock, firstId: 1000n });
  return { ...machine, records, logEnded, guest };
}

function collect(stream: Duplex, records: GuestLogRecord[]): Promise<unknown> {
  return readGuestLog(stream, { vmId: 'vm-1' }, (more) => {
    records.push(...more);
  });
}

async function phaseOf(node: TestNode, system: ComputeSystem): Promise<string | undefined> {
  return (await node.control.system(system.id))?.guest?.phase;
}

describe('a simulated guest', () => {
  it('gets its seed, logs, negotiates and runs', async () => {
    await using node = await startNode();
    const { system, records, guest } = await boot(await node.connect());
    expect(await guest.negotiate(bound())).toEqual({
      protocolVersion: 4,
      osType: 'linux',
      capabilities: [
        'NamespaceAddRequestSupported',
        'SignalProcessSupported',
        'DumpStacksSupported',
        'DeleteContainerStateSupported',
      ],
    });
    const detail = await node.control.system(system.id);
    expect(detail?.guest).toMatchObject({ phase: 'running', entropyBytes: 512 });
    await until('it logs by itself', () => records.some(({ message }) => message === 'uptime'));
    expect(records[0]).toMatchObject({ level: 'info', message: 'GCS started', fields: { version: '0.15.0' } });
    expect(records[1]).toMatchObject({ message: 'kmsg read', fields: { facility: 0, 'uvm-id': 'vm-1' } });
    expect(records.every(({ level }) => level === 'info')).toBe(true);
  });

  it('waits for the end of the entropy stream', async () => {
    await using node = await startNode();
    const { system, entropy, bridge } = await createMachine(await node.connect());
    await system.start();
    const stream = await entropy.accept(bound());
    stream.write(randomBytes(512));
    await until('it has read', async () => (await node.control.system(system.id))?.guest?.entropyBytes === 512);
    expect(await phaseOf(node, system)).toBe('booting');
    stream.end();
    (await bridge.accept(bound())).destroy();
  });

  it('continues without entropy when nobody listens', async () => {
    await using node = await startNode();
    const { system, entropy, bridge } = await createMachine(await node.connect());
    await entropy.close();
    await system.start();
    (await bridge.accept(bound())).destroy();
    expect((await node.control.system(system.id))?.guest?.entropyBytes).toBe(0);
  });

  it('dies when its log is refused', async () => {
    await using node = await startNode();
    const { system, entropy, log } = await createMachine(await node.connect());
    await log.close();
    await entropy.close();
    await system.start();
    expect(await system.ended).toEqual({ kind: 'exited', exit: { exitType: 'UnexpectedExit', status: 0xc037_0106 } });
  });

  it('dies when its log connection is cut, unless a relay holds it', async () => {
    await using node = await startNode();
    const connection = await node.connect();
    const plain = await createMachine(connection);
    await plain.entropy.close();
    await plain.system.start();
    (await plain.log.accept(bound())).destroy();
    expect(await plain.system.ended).toMatchObject({ exit: { exitType: 'UnexpectedExit' } });

    const kept = await createMachine(connection, { command: relayed });
    await kept.entropy.close();
    await kept.system.start();
    (await kept.log.accept(bound())).destroy();
    const records: GuestLogRecord[] = [];
    void collect(await kept.log.accept(bound()), records);
    await until('it logs again', () => records.some(({ message }) => message === 'uptime'));
    expect((await kept.system.properties()).state).toBe('Running');
  });

  it('dials its bridge again after the connection is lost, and sends a late answer with the old id', async () => {
    await using node = await startNode();
    const { system, bridge, guest } = await boot(await node.connect());
    await guest.negotiate(bound());
    const rule = await node.control.script({ at: 'guestModify', stall: true });
    const policy = { resourceType: 'SecurityPolicy', requestType: 'Add', settings: { EnforcerType: 'rego' } } as const;
    const unanswered = guest.modify(policy).catch((error: unknown) => String(error));
    await until('it is asked', async () => (await node.control.visits()).some(({ step }) => step === 'guestModify'));
    await node.control.dropBridge(system.id);
    expect(await guest.closed).toMatchObject({ kind: 'failed' });
    expect(await unanswered).toContain('bridge closed');
    const second = GuestBridge.connect(await bridge.accept(bound()), { clock: systemClock, firstId: guest.nextId });
    await second.negotiate(bound());
    await node.control.release(rule);
    await until('the late answer came', () => second.lateAnswers === 1);
    expect(await second.dumpStacks()).toContain('goroutine');
  });

  it('powers off when asked over the bridge: the streams end, then the system', async () => {
    await using node = await startNode();
    const { system, guest, logEnded } = await boot(await node.connect());
    await guest.negotiate(bound());
    await guest.powerOff(bound());
    await logEnded;
    expect(await system.ended).toEqual({ kind: 'exited', exit: { exitType: 'GracefulExit', status: 0 } });
  });

  it('powers off when HCS asks', async () => {
    await using node = await startNode();
    const { system } = await boot(await node.connect());
    await system.shutdown();
    expect(await system.ended).toMatchObject({ exit: { exitType: 'GracefulExit' } });
  });

  it('panics with its text in the log', async () => {
    await using node = await startNode();
    const { system, records, logEnded } = await boot(await node.connect());
    await node.control.endGuest(system.id, 'panic');
    expect(await system.ended).toMatchObject({ exit: { exitType: 'UnexpectedExit' } });
    await logEnded;
    const text = String(records.at(-1)?.fields['stderr']);
    expect(records.at(-1)?.message).toBe('gcs terminated');
    expect(text).toMatch(/^panic: runtime error[\s\S]*exit status 2$/);
  });

  it('accepts one policy, and mounts only existing disks', async () => {
    await using node = await startNode();
    const { system, guest } = await boot(await node.connect());
    await guest.negotiate(bound());
    const settings = { EnforcerType: 'rego', EncodedSecurityPolicy: 'cGs=' };
    await guest.modify({ resourceType: 'SecurityPolicy', requestType: 'Add', settings });
    const again = guest.modify({ resourceType: 'SecurityPolicy', requestType: 'Add', settings });
    await expect(again).rejects.toThrow('guest RPC failure: security policy has already been set');
    const disk = {
      resourceType: 'MappedVirtualDisk',
      requestType: 'Add',
      settings: { MountPath: '/run/mounts/scsi/m0', Lun: 1 },
    } as const;
    // The guest waits for a disk that does not exist.
    const waiting = guest.modify(disk);
    await guest.dumpStacks();
    expect((await node.control.system(system.id))?.guest?.mounts).toEqual({});
    await system.modify(
      JSON.stringify({
        ResourcePath: 'VirtualMachine/Devices/Scsi/df6d0690-79e5-55b6-a5ec-c1e2f77f580a/Attachments/1',
        RequestType: 'Add',
        Settings: { Type: 'VirtualDisk', Path: 'C:\\disks\\data.vhd' },
      }),
    );
    await waiting;
    expect((await node.control.system(system.id))?.guest).toMatchObject({
      mounts: { '/run/mounts/scsi/m0': '0:1' },
      securityPolicy: 'cGs=',
    });
  });

  it('refuses a second negotiation, and unknown requests', async () => {
    await using node = await startNode();
    const { guest } = await boot(await node.connect());
    await expect(guest.dumpStacks()).rejects.toMatchObject({ hresult: 0x8000_4001 });
    await guest.negotiate(bound());
    await expect(guest.negotiate(bound())).rejects.toMatchObject({ hresult: 0x8000_4001 });
    expect(await guest.dumpStacks()).toContain('goroutine');
  });

  it('ends at the step that its script names', async () => {
    await using node = await startNode({
      script: [
        { at: 'entropy', guest: 'crash' },
        { at: 'running', delayMilliseconds: 5, guest: 'powerOff' },
      ],
    });
    const connection = await node.connect();
    const first = await createMachine(connection);
    await first.system.start();
    expect(await first.system.ended).toMatchObject({ exit: { exitType: 'UnexpectedExit' } });
    const second = await boot(connection);
    await second.guest.negotiate(bound());
    expect(await second.system.ended).toMatchObject({ exit: { exitType: 'GracefulExit' } });
  });

  it('boots sealed from its guest state when it is confidential, and only with access to that file', async () => {
    const state = 'D:\\vm\\guest.vmgs';
    await using node = await startNode({ isolation: ['SNP'], files: { [state]: 100 } });
    const { backend, host, sockets } = await node.connect();
    const document = JSON.stringify(confidentialDocument(state));
    await expect(backend.create(newSystemId(), document)).rejects.toThrow('ERROR_ACCESS_DENIED');
    await host.grantVmGroupAccess(state);
    const system = await backend.create(newSystemId(), document);
    const { runtimeId } = await system.properties();
    if (runtimeId === undefined) throw new Error('no runtime id');
    const log = await sockets.listen(runtimeId, guestPorts.log);
    const bridge = await sockets.listen(runtimeId, guestPorts.bridge);
    await system.start();
    (await log.accept(bound())).resume();
    const guest = GuestBridge.connect(await bridge.accept(bound()), { clock: systemClock, firstId: 0n });
    expect((await guest.negotiate(bound())).osType).toBe('linux');
  });

  it('can be terminated while it waits for its seed', async () => {
    await using node = await startNode();
    const { system, entropy } = await createMachine(await node.connect());
    await system.start();
    const stream = await entropy.accept(bound());
    stream.resume();
    const ended = new Promise((resolve) => stream.once('close', resolve));
    await system.terminate();
    expect(await system.ended).toMatchObject({ exit: { exitType: 'ForcedExit' } });
    stream.end();
    await ended;
  });
});

/** The confidential document, without the parts that do not matter here (hcs-documents §12.9). */
function confidentialDocument(guestState: string) {
  const { Owner, ShouldTerminateOnLastHandleClosed, VirtualMachine } = ordinaryDocument();
  return {
    Owner,
    ShouldTerminateOnLastHandleClosed,
    SchemaVersion: { Major: 2, Minor: 5 },
    VirtualMachine: {
      ...VirtualMachine,
      Chipset: { Uefi: { ApplySecureBootTemplate: 'Apply' } },
      GuestState: { GuestStateFilePath: guestState, GuestStateFileType: 'FileMode', ForceTransientState: true },
      SecuritySettings: {
        Isolation: {
          IsolationType: 'SecureNestedPaging',
          LaunchData: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
        },
      },
    },
  };
}
