// How the binding handles every answer of HCS: every HRESULT of hcs-runtime A.6 at every call, and documents that are
// missing or broken. No handle, operation or text is left over.
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ComputeSystem, SystemId } from '../../../../agent/node/backend.ts';
import { HcsError } from '../../../../agent/node/hcs-error.ts';
import type { ComputeCoreBackend } from '../../../../agent/windows/computecore/backend.ts';
import { newSystemId, ordinaryDocument } from '../../../support/agent/simulated-node.ts';
import { ComputeCoreDouble, nothingLeft, type Rule } from '../../../support/doubles/computecore.ts';

const serviceErrors = Array.from({ length: 0x20 }, (_, low) => 0x8037_0100 + low);
const olderErrors = Array.from({ length: 0x14 }, (_, low) => 0xc037_0100 + low);
const win32Errors = [5, 6, 8, 0x0d, 0x0e, 0x32, 0x7f, 0x490, 0x5aa].map((code) => 0x8007_0000 + code);
const everyError = [...serviceErrors, ...olderErrors, ...win32Errors, 0x8000_4001, 0x8000_4005];
/** The system is already gone, or is being terminated (hcs-runtime A.6). */
const benignForEnding = new Set([0x8037_010e, 0xc037_010e, 0x8037_0110, 0xc037_0110, 0xc037_0103, 0x8007_0490]);

let double: ComputeCoreDouble;
let backend: ComputeCoreBackend;

beforeAll(async () => {
  double = await ComputeCoreDouble.load();
});
beforeEach(() => {
  backend = double.connect();
});
afterEach(async () => {
  await backend.close();
  double.reset();
  expect(double.counts()).toEqual(nothingLeft);
});

const document = JSON.stringify(ordinaryDocument());
const create = () => backend.create(newSystemId(), document);

async function failureOf(call: Promise<unknown>): Promise<HcsError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof HcsError) return error;
    throw error;
  }
}

interface Call {
  readonly name: string;
  readonly run: (system: ComputeSystem) => Promise<unknown>;
}

const operationsOnSystems: readonly Call[] = [
  { name: 'HcsStartComputeSystem', run: (system) => system.start() },
  { name: 'HcsGetComputeSystemProperties', run: (system) => system.properties() },
  { name: 'HcsGetComputeSystemProperties', run: (system) => system.statistics() },
  { name: 'HcsModifyComputeSystem', run: (system) => system.modify('{"ResourcePath":"x"}') },
];
const endings: readonly Call[] = [
  { name: 'HcsShutDownComputeSystem', run: (system) => system.shutdown() },
  { name: 'HcsTerminateComputeSystem', run: (system) => system.terminate() },
];
const operations: readonly Call[] = [
  ...operationsOnSystems,
  { name: 'HcsEnumerateComputeSystems', run: () => backend.enumerate() },
  { name: 'HcsCreateComputeSystem', run: create },
];
const plainCalls: readonly Call[] = [
  { name: 'HcsOpenComputeSystem', run: (system) => backend.open(system.id) },
  { name: 'HcsSetComputeSystemCallback', run: create },
  { name: 'HcsSetComputeSystemCallback', run: (system) => backend.open(system.id) },
  { name: 'HcsGetServiceProperties', run: () => backend.processorTopology() },
  { name: 'HcsGrantVmAccess', run: (system) => backend.grantVmAccess(system.id, 'C:\\a.vhd') },
  { name: 'HcsRevokeVmAccess', run: (system) => backend.revokeVmAccess(system.id, 'C:\\a.vhd') },
];

async function expectEveryError({ name, run }: Call, action: Rule['action'], expected: (code: number) => boolean) {
  const system = await create();
  for (const code of everyError) {
    double.script({ call: name, action, value: code, text: '{"ErrorMessage":"why"}' });
    const error = await failureOf(run(system));
    if (!expected(code)) expect(error).toBeUndefined();
    else expect(error).toMatchObject({ operation: name, hresult: code });
  }
  await system.close();
}

describe('every HRESULT', () => {
  for (const call of operations) {
    it(`is reported when ${call.name} fails at once`, () => expectEveryError(call, 'failCall', () => true));
    it(`is reported when the operation of ${call.name} fails`, () =>
      expectEveryError(call, 'failOperation', () => true));
  }
  for (const call of plainCalls) {
    it(`is reported when ${call.name} fails`, () => expectEveryError(call, 'failCall', () => true));
  }
  for (const call of endings) {
    const isTold = (code: number) => !benignForEnding.has(code);
    it(`is reported when ${call.name} fails, unless the system has already ended`, async () => {
      await expectEveryError(call, 'failCall', isTold);
      await expectEveryError(call, 'failOperation', isTold);
    });
  }

  it('of an operation whose result is not available is reported', async () => {
    const system = await create();
    double.script({ call: 'HcsGetOperationResult', action: 'failCall', value: 0x8037_011a });
    expect(await failureOf(system.start())).toMatchObject({ hresult: 0x8037_011a });
  });

  it('is out of memory when HCS creates no operation', async () => {
    double.script({ call: 'HcsCreateOperation', action: 'failCall' });
    expect(await failureOf(create())).toMatchObject({ operation: 'HcsCreateOperation', isCapacity: true });
  });

  it('that an opened system is gone or stopped is treated as its exit', async () => {
    const system = await create();
    for (const value of [0x8037_010e, 0xc037_010e, 0x8037_0110, 0x8007_0490]) {
      double.script({ call: 'HcsGetComputeSystemProperties', action: 'failOperation', value });
      const opened = await backend.open(system.id);
      expect(await opened.ended).toEqual({ kind: 'exited', exit: { exitType: 'Unknown', status: 0 } });
    }
    double.script({ call: 'HcsGetComputeSystemProperties', action: 'failOperation', value: 0x8007_0005 });
    expect(await failureOf(backend.open(system.id))).toMatchObject({ hresult: 0x8007_0005 });
  });
});

describe('the text of a failure', () => {
  async function textFor(text: string, action: Rule['action'] = 'failOperation') {
    double.script({ call: 'HcsStartComputeSystem', action, value: 0x8037_0100, text });
    const system = await create();
    return (await failureOf(system.start()))?.message;
  }
  const plain = 'HcsStartComputeSystem: TERMINATED_DURING_START (0x80370100)';

  it('contains the events of the result document', async () => {
    const events = [
      { Message: 'no kernel', Provider: 'vmms', EventId: 7, Flags: 1, Source: 'worker', StackTrace: 'f<g' },
      { Message: 'second 🐧', Data: [{ Type: 'String', Value: 'x' }] },
      {},
    ];
    const text = await textFor(JSON.stringify({ Error: -1, ErrorMessage: 'it died', ErrorEvents: events }));
    expect(text).toBe(
      `${plain}: it died\n` +
        '[Event Detail: no kernel Stack Trace: f<g Provider: vmms EventID: 7 flags: 1 Source: worker]\n' +
        '[Event Detail: second 🐧]',
    );
  });

  it('contains them also when the call failed at once', async () => {
    expect(await textFor('{"ErrorMessage":"no"}', 'failCall')).toBe(`${plain}: no`);
  });

  it('ignores a document that cannot be read', async () => {
    for (const text of ['', '{', 'null', '[]', '7', '{"ErrorEvents":7,"ErrorMessage":[]}', '{"ErrorEvents":[7]}'])
      expect(await textFor(text)).toBe(plain);
  });
});

describe('a missing or broken answer', () => {
  const broken = ['{', '', 'null', '7', '"x"', '[7]', '{"Id":7}', '[{"Owner":"x"}]', '\u{1f427}', '{"Properties":[]}'];
  const answering: readonly Call[] = [
    { name: 'HcsGetComputeSystemProperties', run: (system) => system.properties() },
    { name: 'HcsEnumerateComputeSystems', run: () => backend.enumerate() },
  ];

  it('is an error that blames neither the document nor the host', async () => {
    const system = await create();
    const rules: readonly (readonly [Call, Omit<Rule, 'call'>])[] = [
      ...answering.flatMap((call) => broken.map((text) => [call, { action: 'result', text }] as const)),
      ...answering.map((call) => [call, { action: 'noResult' }] as const),
      ...broken.map(
        (text) =>
          [
            { name: 'HcsGetServiceProperties', run: () => backend.processorTopology() },
            { action: 'result', text },
          ] as const,
      ),
    ];
    for (const [{ name, run }, rule] of rules) {
      double.script({ call: name, ...rule });
      const error = await failureOf(run(system));
      expect(error).toMatchObject({ operation: name, hresult: 0x8000_ffff });
      expect([error?.isDocumentRefused, error?.isCapacity, error?.isNotFound]).toEqual([false, false, false]);
    }
  });

  it('is harmless where it is not used', async () => {
    const system = await create();
    double.script({ call: 'HcsStartComputeSystem', action: 'result', text: '{' });
    await system.start();
    double.script({ call: 'HcsModifyComputeSystem', action: 'noResult' });
    await system.modify('{"ResourcePath":"x"}');
  });

  it('with missing or strange members is used as far as possible', async () => {
    const system = await create();
    const answers: readonly (readonly [unknown, object])[] = [
      [{ Id: 'a' }, { id: 'a', owner: '', state: 'Unknown' }],
      [
        { Id: 'a', Owner: 7, State: 'Dreaming', RuntimeId: 'x', Extra: 1 },
        { id: 'a', owner: '', state: 'Unknown' },
      ],
      [
        { Id: 'a', Stopped: true },
        { id: 'a', owner: '', state: 'Stopped' },
      ],
      [
        { Id: 'a', Owner: 'o', State: 'Running', RuntimeId: '00000000-0000-0000-0000-000000000000' },
        { id: 'a', owner: 'o', state: 'Running' },
      ],
    ];
    for (const [answer, expected] of answers) {
      double.script({ call: 'HcsGetComputeSystemProperties', action: 'result', text: JSON.stringify(answer) });
      expect(await system.properties()).toEqual(expected);
    }
  });
});

describe('texts', () => {
  it('are passed as UTF-16 in both directions, at any length', async () => {
    const owner = `lcow-🐧-${'x'.repeat(300_000)}`;
    const id = `luvm-ünï-🐧` as SystemId;
    const system = await backend.create(id, JSON.stringify({ ...ordinaryDocument(), Owner: owner }));
    expect(await system.properties()).toMatchObject({ id, owner });
    expect(await backend.enumerate()).toMatchObject([{ id, owner }]);
  });
});

describe('a library of Windows Server 2019', () => {
  it('works without the functions of later versions', async () => {
    const old = await ComputeCoreDouble.load({ define: ['DOUBLE_OF_SERVER_2019'] });
    const oldBackend = old.connect();
    const system = await oldBackend.create(newSystemId(), document);
    await system.terminate();
    await system.ended;
    const opened = await oldBackend.open(system.id);
    expect(await opened.ended).toEqual({ kind: 'exited', exit: { exitType: 'ForcedExit', status: 0 } });
    await oldBackend.close();
    expect(old.counts()).toEqual(nothingLeft);
  });
});
