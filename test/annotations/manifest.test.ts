// The document of a converted manifest is that of the annotations, wherever the manifest can say what they say.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conversionOf, type SpecConversion } from '../../annotations/convert.ts';
import { Key } from '../../annotations/keys.ts';
import { specProblems } from '../../crds/spec-problems.ts';
import { defaultsHostOf, readAnnotationCases } from '../golden/annotations.ts';
import { SimulatedFiles } from '../golden/simulated-files.ts';
import { manifestDocument, originalDocument } from '../support/agent/converted.ts';

const cases = readAnnotationCases(readFileSync(new URL('../golden/annotations.json', import.meta.url), 'utf8'));
// A manifest is made of a pod; the runtime's own configuration is not part of it.
const ofPods = cases.filter(({ runtimeOptions }) => runtimeOptions === undefined);

/** Why the document of the manifest is another one, by the name of the case. */
const beyondManifests: Readonly<Record<string, RegExp>> = {
  "io.microsoft.virtualmachine.computetopology.memory.sizeinmb = '18446744073709551615'": /must be at most/,
  "io.microsoft.virtualmachine.computetopology.processor.count = '-2'": /at least 1/,
  "io.microsoft.virtualmachine.computetopology.processor.count = '2147483647'": /at most 2048/,
  "io.microsoft.virtualmachine.storageqos.iopsmaximum = '-5'": /at least 0/,
  "io.microsoft.virtualmachine.cpugroup.id = 'abc'": /must be a GUID/,
  'boot files path empty': /must have at least 3 characters/,
  'boot files path relative': /must be an absolute Windows path/,
  'state file empty with policy': /must not be empty/,
  'devices, odd ids': /must not be empty/,
  'OCI memory below one MiB, and zeros': /at least 1/,
  'OCI values beyond 32 bit': /at most|at least/,
};

/** hcsshim converts these, and then refuses to build a document of them on any host. */
const withoutDocument: Readonly<Record<string, string>> = {
  "io.microsoft.virtualmachine.computetopology.processor.numa.max-processors-per-node = '8'":
    'max size per node must be set when max processors per numa node is set',
  "io.microsoft.virtualmachine.computetopology.numa.mapped-physical-nodes = '0,0'":
    'mismatch in number of physical numa nodes and the corresponding processor and memory blocks count',
};

/** hcsshim looks for the files of the default folder in the given one, and the agent does not. Here neither finds any. */
const otherError = 'boot files elsewhere, nothing there';

function converted(spec: Parameters<typeof conversionOf>[0]): SpecConversion {
  const conversion = conversionOf(spec);
  if (conversion.kind === 'refused') throw new Error(conversion.message);
  return conversion;
}

const lossy = (conversion: SpecConversion) =>
  conversion.remarks.filter(({ reason }) => reason.includes('cannot have this value'));

describe('the golden annotations', () => {
  it('are refused where hcsshim fails the pod, in its words', () => {
    for (const {
      expect: { error },
      name,
      spec,
    } of ofPods) {
      const message = error ?? withoutDocument[name];
      const expected = message === undefined ? { kind: 'spec' } : { kind: 'refused', message };
      expect(conversionOf(spec), name).toMatchObject(expected);
    }
  });

  const convertible = ofPods.filter(
    ({ expect: { error }, name }) =>
      error === undefined && ![withoutDocument[name], beyondManifests[name]].some(Boolean) && name !== otherError,
  );

  it.each(convertible)('$name: same document', (golden) => {
    const conversion = converted(golden.spec);
    const host = {
      defaults: defaultsHostOf(golden),
      logicalProcessors: golden.host.logicalProcessors,
      files: new SimulatedFiles(golden.files),
    };
    expect(specProblems(conversion.spec)).toEqual([]);
    expect(lossy(conversion)).toEqual([]);
    expect(manifestDocument(conversion.spec, host)).toBe(originalDocument(conversion.given, host));
  });

  it.each(Object.entries(beyondManifests))('%s: beyond a manifest, and said so', (name, says) => {
    const golden = ofPods.find((each) => each.name === name);
    const conversion = converted(golden?.spec ?? {});
    expect(lossy(conversion).map(({ reason }) => reason)).toEqual(
      expect.arrayContaining([expect.stringMatching(says)]),
    );
    expect(specProblems(conversion.spec)).toEqual([]);
  });
});

const flag = fc.constantFrom('true', 'false', 'maybe');
const number = fc.constantFrom('0', '1', '2', '4', '64', '512', '513', '1024', '4096', '5000', '100000', 'x');
const list = fc.array(fc.constantFrom('0', '1', '2', '512'), { maxLength: 3 }).map((entries) => entries.join(','));
const name = fc.constantFrom('a.vhd', 'my.vmgs', 'quiet', 'NUL', 'a b', '', 'x\ty');
const values: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ...Object.fromEntries(
    Object.entries(Key).map(([option, key]) => {
      if (/Lists?$|Nodes$|Counts$|Ports$/.test(option)) return [key, list];
      if (/InMB$|Count$|Limit$|Weight$|Maximum$|SizeBytes$|PerNumaNode$/.test(option)) return [key, number];
      return [key, /ID$|Path$|File$|Vhd$|Args$|Options$|Enforcer$|Location$|Proxy$/.test(option) ? name : flag];
    }),
  ),
  [Key.PreferredRootFSType]: fc.constantFrom('vhd', 'initrd', 'VHD'),
  [Key.SecurityPolicy]: fc.constantFrom('', 'cG9saWN5', 'no base64'),
  [Key.BootFilesPath]: fc.constantFrom(
    'D:\\boot',
    'D:/boot/',
    'D:\\x\\..\\boot',
    'boot',
    '\\\\host\\share',
    'D:\\boot.',
  ),
  [Key.ConsolePipe]: fc.constantFrom('\\\\.\\pipe\\x', 'x', ''),
  [Key.ResourcePartitionID]: fc.constantFrom('3f4c5d6e-1111-2222-3333-444455556666'),
  [Key.CPUGroupID]: fc.constantFrom('', 'abc', '3f4c5d6e-1111-2222-3333-444455556666'),
  [`${Key.HvSocketServicePrefix}0000006D-FACB-11E6-BD58-64006A7986D3`]: fc.constantFrom(
    '{}',
    'null',
    '{"Disabled":true}',
    '[',
  ),
};
const annotations = fc
  .subarray(Object.entries(values), { maxLength: 8 })
  .chain((chosen) => fc.record(Object.fromEntries(chosen)));
// The same files in both folders: where a file is missing in the given one only, hcsshim fails, and the agent does not.
const files = fc
  .subarray(['vmlinux', 'rootfs.vhd', 'kernel.vmgs'])
  .map((names) =>
    ['kernel', 'initrd.img', ...names].flatMap((each) => [`C:\\LinuxBootFiles\\${each}`, `D:\\boot\\${each}`]),
  )
  .map((paths) => new SimulatedFiles(Object.fromEntries(paths.map((path) => [path, 4096]))));
const host = fc.record({
  logicalProcessors: fc.constantFrom(1, 16),
  files,
  defaults: fc.record({
    architecture: fc.constantFrom('amd64' as const, 'arm64' as const),
    build: fc.constantFrom(17763, 18362, 20348, 26100),
    visibleProcessors: fc.constantFrom(1, 16),
    bootFolder: fc.constant('C:\\LinuxBootFiles'),
    currentDirectory: fc.constant('C:\\'),
  }),
});

const losses = ['cannot have this value', 'it is not base64', 'hcsshim refuses a root VHD'];
const losesNothing = ({ remarks }: SpecConversion) =>
  remarks.every(({ reason }) => !losses.some((loss) => reason.includes(loss)));

describe('any annotations', () => {
  it('give the document of hcsshim, or a remark says which value is lost', () => {
    fc.assert(
      fc.property(annotations, host, (texts, ofHost) => {
        const conversion = conversionOf({ linux: {}, annotations: texts });
        if (conversion.kind === 'refused') return;
        expect(specProblems(conversion.spec)).toEqual([]);
        if (!losesNothing(conversion)) return;
        expect(manifestDocument(conversion.spec, ofHost)).toBe(originalDocument(conversion.given, ofHost));
      }),
      { numRuns: 600 },
    );
  });
});
