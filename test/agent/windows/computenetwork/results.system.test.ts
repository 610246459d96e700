// How the binding handles every answer of HNS. No handle or text is left over, however a call ends.
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { poolSize } from '../../../../agent/bounds/pool-size.ts';
import { endpointDocument, policyChange } from '../../../../agent/network/endpoint-document.ts';
import { HnsError } from '../../../../agent/node/hns-error.ts';
import type { NetworkId } from '../../../../agent/node/network-service.ts';
import { connectComputeNetwork } from '../../../../agent/windows/computenetwork/computenetwork.ts';
import type { ComputeNetworkService } from '../../../../agent/windows/computenetwork/service.ts';
import { testNetworks } from '../../../support/agent/networks-contract.ts';
import { ComputeNetworkDouble } from '../../../support/doubles/computenetwork.ts';
import { until } from '../../../support/until.ts';

const nat = testNetworks[0].id as NetworkId;
const uid = 'b7c9f3a2-5d0e-4c1b-8f6a-3e2d1c0b9a87';
const { id, text } = endpointDocument({ uid, name: 'eth0', network: nat });

let double: ComputeNetworkDouble;
let service: ComputeNetworkService;

beforeAll(async () => {
  double = await ComputeNetworkDouble.load();
});
beforeEach(() => {
  for (const network of testNetworks) double.addNetwork(network);
  service = double.connect();
});
afterEach(() => {
  double.reset();
  expect(double.left).toEqual({ texts: 0, handles: 0 });
});

async function failureOf(call: Promise<unknown>): Promise<HnsError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof HnsError) return error;
    throw error;
  }
}

const calls: readonly (readonly [name: string, run: () => Promise<unknown>])[] = [
  ['HcnEnumerateNetworks', () => service.listNetworks()],
  ['HcnOpenNetwork', () => service.readNetwork(nat)],
  ['HcnQueryNetworkProperties', () => service.readNetwork(nat)],
  ['HcnEnumerateEndpoints', () => service.listEndpoints()],
  ['HcnOpenEndpoint', () => service.readEndpoint(id)],
  ['HcnQueryEndpointProperties', () => service.readEndpoint(id)],
  ['HcnOpenNetwork', () => service.createEndpoint(nat, id, text)],
  ['HcnCreateEndpoint', () => service.createEndpoint(nat, id, text)],
  ['HcnModifyEndpoint', () => service.modifyEndpoint(id, policyChange('Update', []))],
  ['HcnDeleteEndpoint', () => service.deleteEndpoint(id)],
  ['HNSCall', () => service.version()],
];
const codes = [
  ...Array.from({ length: 0x38 }, (_, low) => 0x803b_0000 + low),
  ...[5, 0x20, 0x422, 0x490, 0x6ba, 0x6be, 0x6bf].map((code) => 0x8007_0000 + code),
  ...[0x8000_4001, 0x8000_4005],
];

describe('every HRESULT', () => {
  it.each(calls.filter(([name]) => name !== 'HNSCall'))('is reported when %s fails', async (name, run) => {
    await service.createEndpoint(nat, id, text);
    for (const value of codes) {
      double.script({ call: name, action: 'failCall', value, text: '{"Success":false,"Error":"why"}' });
      expect(await failureOf(run())).toMatchObject({ operation: name, hresult: value, detail: 'why' });
    }
  });

  it('is reported with an error record that cannot be read', async () => {
    for (const record of ['', '{', 'null', '[]', '{"Error":7}']) {
      double.script({ call: 'HcnEnumerateNetworks', action: 'failCall', value: 0x803b_0020, text: record });
      const failure = await failureOf(service.listNetworks());
      expect(failure?.message).toBe('HcnEnumerateNetworks: the Host Networking Service does not answer (0x803b0020)');
    }
  });
});

describe('a missing or broken answer', () => {
  const answering = calls.filter(([name]) => /Enumerate|Properties|HNSCall/.test(name));

  it.each(answering)('of %s is a failure of HNS', async (name, run) => {
    await service.createEndpoint(nat, id, text);
    double.script({ call: name, action: 'noResult' });
    expect(await failureOf(run())).toMatchObject({ operation: name, reason: 'HNSFailed' });
  });

  it.each(['', '{', '[]', '{"Success":false,"Error":"no"}', '{"Success":true,"Output":{"Major":"x"}}'])(
    'to the question for the version is one, too: %s',
    async (answer) => {
      double.script({ call: 'HNSCall', action: 'result', text: answer });
      expect(await failureOf(service.version())).toMatchObject({ reason: 'HNSFailed' });
    },
  );
});

describe('a Windows', () => {
  it('whose vmcompute.dll does not tell the version has the rest', async () => {
    const older = await ComputeNetworkDouble.load({ define: ['DOUBLE_WITHOUT_HNSCALL'] });
    const connected = older.connect();
    expect(await failureOf(connected.version())).toMatchObject({ reason: 'HNSUnsupported' });
    expect(await connected.listNetworks()).toBe('[]');
  });

  it('without HNS says so at each call, and not before', async () => {
    const absent = connectComputeNetwork({ computenetwork: '/none.dll', vmcompute: '/none.dll', ole32: '/none.dll' });
    const calling = [absent.version(), absent.listNetworks(), absent.readNetwork(nat), absent.deleteEndpoint(id)];
    for (const call of calling) expect(await failureOf(call)).toMatchObject({ reason: 'HNSUnsupported' });
  });
});

it('calls that hang use less than a quarter of the pool, and the others wait their turn', async () => {
  const width = Math.max(1, Math.floor(poolSize(process.env) / 4) - 1);
  double.script({ call: 'HcnEnumerateEndpoints', action: 'hold', number: 0 });
  const running = Array.from({ length: width + 3 }, () => service.listEndpoints());
  await until('the calls hang', () => double.visits('HcnEnumerateEndpoints') === width);
  let isThrough = false;
  const next = service.listNetworks().then(() => {
    isThrough = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect([isThrough, double.visits('HcnEnumerateEndpoints')]).toEqual([false, width]);
  await until('all calls return', async () => {
    double.release();
    return await Promise.race([Promise.all(running).then(() => true), nothingYet()]);
  });
  await next;
  expect(isThrough).toBe(true);
});

function nothingYet(): Promise<false> {
  return new Promise((resolve) => setImmediate(resolve, false));
}
