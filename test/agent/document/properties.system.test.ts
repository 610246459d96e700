import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildDocument } from '../../../agent/document/build.ts';
import { defaultOptions } from '../../../agent/document/defaults.ts';
import type { FileFacts, HostFacts } from '../../../agent/document/facts.ts';
import { changeOptions, type LinuxOptionChanges } from '../../../agent/document/options.ts';
import type { BuildOutcome } from '../../../agent/document/outcome.ts';
import { anyChanges, anyFiles, anyHost } from '../../support/agent/arbitrary-options.ts';

const numRuns = 1500;

function optionsOn(host: HostFacts, files: FileFacts, changes: LinuxOptionChanges) {
  const place = { visibleProcessors: 4, bootFolder: 'C:\\LinuxBootFiles', currentDirectory: 'C:\\' };
  return changeOptions(defaultOptions({ id: 'vm', owner: 'o' }, { ...host, ...place }, files), changes);
}

function build(host: HostFacts, files: FileFacts, changes: LinuxOptionChanges): BuildOutcome {
  return buildFrom(host, files, optionsOn(host, files, changes));
}

function buildFrom(host: HostFacts, files: FileFacts, options: BuildOutcome['optionsAfter']): BuildOutcome {
  let guids = 0;
  return buildDocument({ options, host, files, randomGuid: () => `vmbus-${guids++}`, scrubLogs: undefined });
}

function textOf(outcome: BuildOutcome): string {
  return outcome.result.kind === 'document' ? outcome.result.text : outcome.result.message;
}

function kernelCommandLine(outcome: BuildOutcome): string {
  if (outcome.result.kind === 'error') {
    return '';
  }
  const { Uefi, LinuxKernelDirect } = outcome.result.document.VirtualMachine.Chipset;
  return LinuxKernelDirect?.KernelCmdLine ?? Uefi?.BootThis?.OptionalData ?? '';
}

describe('for any options, host and files', () => {
  it('a build ends with a document or an error of the original, never with an exception', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const { result } = build(host, files, changes);
        expect(result.kind === 'document' || result.message !== '').toBe(true);
      }),
      { numRuns },
    );
  });

  it('a second build from the same options gives the same document', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const options = optionsOn(host, files, changes);
        expect(buildFrom(host, files, options)).toEqual(buildFrom(host, files, options));
      }),
      { numRuns },
    );
  });

  it('a build from the resulting options of a build differs only by repeated flags (quirk 12)', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const first = build(host, files, changes);
        const second = buildFrom(host, files, first.optionsAfter);
        const repeats = textOf(first) !== textOf(second);
        const flags = changes.DisableTimeSyncService === true && kernelCommandLine(first) !== '';
        expect(repeats).toBe(flags);
      }),
      { numRuns },
    );
  });

  it('the text is JSON without raw markup, and parsing and writing it again keeps its value', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const { result } = build(host, files, changes);
        if (result.kind === 'document') {
          expect(result.text).not.toMatch(/[<>&\u2028\u2029]/);
          expect(JSON.parse(JSON.stringify(JSON.parse(result.text)))).toEqual(JSON.parse(result.text));
          expect(JSON.parse(result.text)).toEqual(JSON.parse(JSON.stringify(result.document)));
        }
      }),
      { numRuns },
    );
  });

  it('memory is even, and a confidential VM never gets the ordinary document', () => {
    fc.assert(
      fc.property(anyHost, anyFiles, anyChanges, (host, files, changes) => {
        const { result } = build(host, files, changes);
        if (result.kind === 'document') {
          expect(result.memorySizeInMB % 2n).toBe(0n);
          const isolated = result.document.VirtualMachine.SecuritySettings !== undefined;
          expect(isolated).toBe(changes.SecurityPolicyEnabled === true);
        }
      }),
      { numRuns },
    );
  });
});

// An option value can change nothing outside its own member. The original inserts some texts into the kernel command
// line unchanged (quirk 13). For these options spaces are intended, and the schema of the resource refuses control
// characters.
describe('an option value cannot reach beyond its own member', () => {
  /** The JSON text with every string value blanked. */
  function skeleton(text: string): unknown {
    return JSON.parse(text, (_key, value: unknown) => (typeof value === 'string' ? '' : value));
  }

  const host: HostFacts = {
    architecture: 'amd64',
    build: 20348,
    processors: { kind: 'known', logicalProcessors: 16 },
  };
  const files: FileFacts = { stat: () => ({ kind: 'file', size: 4096 }) };
  const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });

  const textOptions = [
    'Owner',
    'CPUGroupID',
    'ConsolePipe',
    'KernelBootOptions',
    'ExecCommandLine',
    'ProcessDumpLocation',
    'KernelFile',
    'RootFSFile',
  ] as const;

  it.each(textOptions)('%s adds no member to the document', (option) => {
    const plain = textOf(build(host, files, { [option]: 'x' }));
    fc.assert(
      fc.property(anyText, (value) => {
        expect(skeleton(textOf(build(host, files, { [option]: value })))).toEqual(skeleton(plain));
      }),
    );
  });

  it.each(['Owner', 'CPUGroupID', 'ConsolePipe', 'KernelFile'] as const)(
    '%s stays out of the command line',
    (option) => {
      const plain = kernelCommandLine(build(host, files, { [option]: 'x' }));
      fc.assert(
        fc.property(anyText, (value) => {
          expect(kernelCommandLine(build(host, files, { [option]: value }))).toBe(plain);
        }),
      );
    },
  );

  it.each(['KernelBootOptions', 'ExecCommandLine', 'ProcessDumpLocation'] as const)(
    '%s is inserted unchanged, once',
    (option) => {
      const marked = kernelCommandLine(build(host, files, { [option]: 'MARK' }));
      fc.assert(
        fc.property(anyText, (value) => {
          expect(kernelCommandLine(build(host, files, { [option]: value }))).toBe(marked.replace('MARK', () => value));
        }),
      );
    },
  );

  it('dm-verity arguments stay one quoted argument', () => {
    const changes = { PreferredRootFSType: 1, VPMemDeviceCount: 0, DmVerityMode: true };
    fc.assert(
      fc.property(anyText, (value) => {
        const line = kernelCommandLine(build(host, files, { ...changes, DmVerityCreateArgs: value }));
        expect(line).toMatch(/^root=\/dev\/dm-0 dm-mod\.create="(?:[^"\\\p{Cc}]|\\.)*" init=\/init initcall/u);
      }),
    );
  });
});
