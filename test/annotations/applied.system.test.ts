// A real API server accepts every manifest that is made of annotations: the rules between fields hold, too.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { conversionOf } from '../../annotations/convert.ts';
import { Key } from '../../annotations/keys.ts';
import { readAnnotationCases } from '../golden/annotations.ts';
import { ApiProxy } from '../support/control-plane/proxy.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';

const golden = readAnnotationCases(readFileSync(new URL('../golden/annotations.json', import.meta.url), 'utf8'));

const numa = {
  [Key.NumaMappedPhysicalNodes]: '0,1',
  [Key.NumaProcessorCounts]: '1,1',
  [Key.NumaMemoryBlocksCounts]: '512,512',
  [Key.MaxMemorySizePerNumaNode]: '512',
};
const together: readonly Readonly<Record<string, string>>[] = [
  { ...numa, [Key.AllowOvercommit]: 'false', [Key.ProcessorCount]: '2', [Key.MemorySizeInMB]: '1023' },
  { ...numa, [Key.SecurityPolicy]: 'cG9s', [Key.EnableScratchEncryption]: 'false', [Key.ExtraVSockPorts]: '7,7' },
  { [Key.MaxProcessorsPerNumaNode]: '2', [Key.MaxMemorySizePerNumaNode]: '512', [Key.FullyPhysicallyBacked]: 'true' },
  { [Key.FullyPhysicallyBacked]: 'true', [Key.AllowOvercommit]: 'true', [Key.VPMemDeviceCount]: '3' },
  { [Key.VPMemDeviceCount]: '0', [Key.VPMemSizeBytes]: '5', [Key.DmVerityMode]: 'true', [Key.DmVerityCreateArgs]: 'x' },
  { [Key.SecurityPolicy]: 'A'.repeat(40_000), [Key.GuestStateFilePath]: 'VM~1.JSO', [Key.ConsolePipe]: 'x' },
  { [Key.BootFilesPath]: 'D:/boot/../b/', [Key.ProcessDumpLocation]: '/tmp\n', [Key.UVMReferenceInfoFile]: 'NUL' },
];

let api: ApiProxy;

beforeAll(async () => {
  api = await ApiProxy.open(await sharedCluster());
});
afterAll(() => api[Symbol.asyncDispose]());

it('accepts the manifests', async () => {
  const specs = [...golden.map(({ spec }) => spec), ...together.map((annotations) => ({ linux: {}, annotations }))];
  const made = specs.map((spec) => conversionOf(spec)).filter((conversion) => conversion.kind === 'spec');
  const distinct = [...new Map(made.map(({ spec }) => [JSON.stringify(spec), spec])).values()];
  expect(made.length - (golden.length - 7)).toBe(together.length);
  const path = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms/converted';
  const query = 'fieldManager=convert&fieldValidation=Strict&dryRun=All';
  for (const spec of distinct) {
    const manifest = {
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: { name: 'converted' },
      spec,
    };
    const { body, status } = await api.patch(`${path}?${query}`, 'apply-patch+yaml', manifest);
    expect({ status, spec, body: status === 201 ? '' : body }).toEqual({ status: 201, spec, body: '' });
  }
});
