// Runs one golden case against the builder and carries its effects out on the simulated host, as the original would have.
import { updateBootFilesPath } from '../../agent/document/boot-files.ts';
import { buildDocument, createErrorPrefix } from '../../agent/document/build.ts';
import { defaultOptions } from '../../agent/document/defaults.ts';
import type { FileFacts, HostFacts } from '../../agent/document/facts.ts';
import { changeOptions, type LinuxOptions } from '../../agent/document/options.ts';
import type { BuildOutcome, Effect } from '../../agent/document/outcome.ts';
import type { DocumentCase } from './document-case.ts';
import { SimulatedFiles } from './simulated-files.ts';

const currentDirectory = 'C:\\';

/** What really came out, in the shape of a case's `expect`, with the document as text. */
export type CaseResult = Readonly<Record<string, unknown>>;

export function runCase(testCase: DocumentCase): CaseResult {
  const files = new SimulatedFiles(testCase.files, testCase.faults);
  let options = caseOptions(testCase, files);
  let result: CaseResult = {};
  for (let round = 0; round < (testCase.repeat ?? 1); round++) {
    const outcome = build(testCase, options, files);
    options = outcome.optionsAfter;
    result = carryOut(testCase, outcome, files);
  }
  return result;
}

export function caseOptions(testCase: DocumentCase, files: FileFacts): LinuxOptions {
  const { arch, build: windowsBuild, logicalProcessors, visibleProcessors } = testCase.host;
  const defaults = defaultOptions(
    { id: 'vm-1', owner: 'containerd-shim-runhcs-v1.exe' },
    {
      architecture: arch,
      build: windowsBuild,
      visibleProcessors: visibleProcessors ?? logicalProcessors,
      bootFolder: 'C:\\LinuxBootFiles',
      currentDirectory,
    },
    files,
    testCase.logLevel,
  );
  let options = defaults;
  for (const folder of testCase.updateBootFilesPath ?? []) {
    options = updateBootFilesPath(options, folder, currentDirectory, files);
  }
  return changeOptions(options, testCase.options);
}

export function caseHost(testCase: DocumentCase): HostFacts {
  const message = testCase.faults?.processorInfo;
  return {
    architecture: testCase.host.arch,
    build: testCase.host.build,
    processors:
      message === undefined
        ? { kind: 'known', logicalProcessors: testCase.host.logicalProcessors }
        : { kind: 'error', message },
  };
}

function build(testCase: DocumentCase, options: LinuxOptions, files: SimulatedFiles): BuildOutcome {
  let guids = 0;
  return buildDocument({
    options,
    host: caseHost(testCase),
    files,
    randomGuid: () => `vmbus-${guids++}`,
    // The original's "off" adds nothing.
    scrubLogs: testCase.scrubLogs === true ? true : undefined,
  });
}

function carryOut(testCase: DocumentCase, outcome: BuildOutcome, files: SimulatedFiles): CaseResult {
  const done = new DoneEffects();
  for (const effect of outcome.effects) {
    const cause = done.carryOut(effect, files);
    if (cause !== undefined && effect.kind !== 'reserve') {
      return failure(effect.errorPrefix + cause, [...effect.undo, ...outcome.removeOnClose], done, files);
    }
  }
  const { result } = outcome;
  if (result.kind === 'error') {
    return failure(result.message, outcome.removeOnClose, done, files);
  }
  const createFault = testCase.faults?.createSystem;
  if (createFault !== undefined) {
    return failure(createErrorPrefix + createFault, outcome.removeOnClose, done, files);
  }
  return {
    documentText: result.text,
    stagedCopies: done.copies,
    grantedAll: done.grants,
    reservedSCSISlots: done.slots,
    scsiControllerCount: outcome.devices.scsiControllerCount,
    processorCount: result.processorCount,
  };
}

class DoneEffects {
  readonly copies: { from: string; to: string }[] = [];
  readonly grants: string[] = [];
  readonly slots: { controller: number; lun: number }[] = [];

  carryOut(effect: Effect, files: SimulatedFiles): string | undefined {
    switch (effect.kind) {
      case 'copy': {
        const { from, to } = effect;
        const cause = files.copy(from, to);
        if (cause === undefined) {
          this.copies.push({ from, to });
        }
        return cause;
      }
      case 'grant': {
        const cause = files.grant(effect.path);
        if (cause === undefined) {
          this.grants.push(effect.path);
        }
        return cause;
      }
      case 'reserve':
        this.slots.push({ controller: effect.controller, lun: effect.lun });
        return undefined;
    }
  }
}

function failure(error: string, removed: readonly string[], done: DoneEffects, files: SimulatedFiles): CaseResult {
  for (const path of removed) {
    files.remove(path);
  }
  const left = done.copies.map(({ to }) => to).filter((path) => files.has(path));
  return {
    error,
    ...(done.copies.length > 0 && { stagedCopies: done.copies }),
    ...(done.grants.length > 0 && { grantedAll: done.grants }),
    removedOnError: removed,
    ...(done.copies.length > 0 && { leftOnError: left }),
  };
}
