// The contract of every HCS backend (agent/node/backend.ts, hcs-runtime A, B), as one suite for all implementations. On
// a real host the suite creates small VMs whose guests need not come up.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ComputeSystem, HcsBackend, SystemId } from '../../../agent/node/backend.ts';
import { HcsError } from '../../../agent/node/hcs-error.ts';
import { until } from '../until.ts';

export interface BackendUnderTest extends AsyncDisposable {
  readonly backend: HcsBackend;
  newId(): SystemId;
  /** A document that HCS accepts. */
  document(options?: { readonly terminatesWithLastHandle?: boolean }): string;
  /** Connects another client. */
  another(): Promise<HcsBackend>;
}

async function failure(call: Promise<unknown>): Promise<HcsError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HcsError);
  return error instanceof HcsError ? error : new HcsError('none', 0);
}

export function describeBackend(name: string, make: () => Promise<BackendUnderTest>): void {
  describe(`${name} keeps the contract of HCS backends`, () => {
    let tested: BackendUnderTest;

    beforeEach(async () => {
      tested = await make();
    });
    afterEach(async () => {
      await tested[Symbol.asyncDispose]();
    });

    lifeCycle(() => tested);
    refusals(() => tested);
    handles(() => tested);
  });
}

function lifeCycle(tested: () => BackendUnderTest): void {
  it('creates a system that is not running, with a runtime id and its owner', async () => {
    const system = await create(tested());
    const properties = await system.properties();
    expect(properties).toMatchObject({ id: system.id, owner: 'lcow-agent', state: 'Created' });
    expect(properties.runtimeId).toMatch(/^[0-9a-f-]{36}$/i);
  });

  it('runs a system once started, and terminates it on request', async () => {
    const system = await create(tested());
    await system.start();
    expect((await system.properties()).state).toBe('Running');
    await system.terminate();
    expect(await system.ended).toMatchObject({ kind: 'exited', exit: { exitType: 'ForcedExit' } });
  });

  it('answers queries about a stopped system until its last handle is closed', async () => {
    const system = await create(tested());
    await system.terminate();
    await system.ended;
    expect((await system.properties()).state).toBe('Stopped');
    await system.terminate();
    expect(await states(tested().backend, system.id)).toEqual(['Stopped']);
    await system.close();
    await until('the system is gone', async () => (await states(tested().backend, system.id)).length === 0);
  });

  it('reports the resource use of a running system, and none for one that does not run', async () => {
    const system = await create(tested());
    expect(await system.statistics()).toEqual({});
    await system.start();
    const { assignedMemoryBytes = 0, processorSeconds = -1 } = await system.statistics();
    expect(assignedMemoryBytes).toBeGreaterThan(2 ** 20);
    expect(processorSeconds).toBeGreaterThanOrEqual(0);
    await system.terminate();
    await system.ended;
    expect(await system.statistics()).toEqual({});
  });

  it('reports the processors of the host', async () => {
    const topology = await tested().backend.processorTopology();
    expect(topology.logicalProcessorCount).toBeGreaterThan(0);
  });
}

function refusals(tested: () => BackendUnderTest): void {
  it('refuses a second system of the same id', async () => {
    const system = await create(tested());
    const error = await failure(tested().backend.create(system.id, tested().document()));
    expect(error.isAlreadyExists).toBe(true);
  });

  it('does not open a system that does not exist', async () => {
    expect((await failure(tested().backend.open(tested().newId()))).isNotFound).toBe(true);
  });

  it('refuses a text that is not a document', async () => {
    const { backend, newId } = tested();
    for (const document of ['', '{', '[]', '{"Nonsense":true}']) await failure(backend.create(newId(), document));
    expect(await backend.enumerate()).toEqual([]);
  });

  it('refuses a second start, and any change of a stopped system', async () => {
    const system = await create(tested());
    await system.start();
    await failure(system.start());
    await system.terminate();
    await system.ended;
    expect((await failure(system.start())).isAlreadyStopped).toBe(true);
    await failure(system.modify('{"ResourcePath":"VirtualMachine/ComputeTopology/Memory/SizeInMB","Settings":512}'));
  });
}

function handles(tested: () => BackendUnderTest): void {
  it('shows a system to every client, and reports its end to each', async () => {
    const system = await create(tested());
    const other = await tested().another();
    const opened = await other.open(system.id);
    expect(await opened.properties()).toEqual(await system.properties());
    await system.terminate();
    expect(await opened.ended).toEqual(await system.ended);
    const late = await other.open(system.id);
    expect(await late.ended).toEqual(await system.ended);
  });

  it('ends a system with its last handle, when its document says so', async () => {
    const system = await create(tested());
    await system.start();
    const other = await tested().another();
    const opened = await other.open(system.id);
    await system.close();
    expect(await system.ended).toEqual({ kind: 'closed' });
    expect((await opened.properties()).state).toBe('Running');
    await opened.close();
    await opened.close();
    await until('the system is gone', async () => (await states(other, system.id)).length === 0);
  });

  it('keeps a system without handles, when its document says so', async () => {
    const system = await create(tested(), { terminatesWithLastHandle: false });
    await system.start();
    const before = await system.properties();
    await system.close();
    const opened = await tested().backend.open(system.id);
    expect(await opened.properties()).toEqual(before);
    await opened.terminate();
    await opened.ended;
  });

  it('reports the loss of the connection to the service', async () => {
    const system = await create(tested(), { terminatesWithLastHandle: false });
    await tested().backend.close();
    expect((await system.ended).kind).toBe('serviceDisconnected');
    expect((await failure(system.properties())).isServiceDisconnect).toBe(true);
    expect((await failure(tested().backend.enumerate())).isServiceDisconnect).toBe(true);
  });
}

function create(
  { backend, document, newId }: BackendUnderTest,
  options: { readonly terminatesWithLastHandle?: boolean } = {},
): Promise<ComputeSystem> {
  return backend.create(newId(), document(options));
}

async function states(backend: HcsBackend, id: SystemId): Promise<string[]> {
  const all = await backend.enumerate();
  return all.filter((each) => each.id === id).map((each) => each.state);
}
