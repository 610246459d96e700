// Turns options into a document: the create sequence up to the call of HCS (docs/reference/hcs-documents.md §10). A
// pure function of options and facts.
import type { BuildContext, BuildInput } from './build-context.ts';
import { documentText } from './document-text.ts';
import type { LinuxOptions } from './options.ts';
import { buildOrdinaryDocument } from './ordinary-document.ts';
import { type BuildOutcome, type BuildResult, DocumentError } from './outcome.ts';
import type { BuiltMachine } from './skeleton.ts';
import { buildSnpDocument } from './snp-document.ts';
import { scsiControllerCount } from './storage.ts';
import { verifyOptions } from './verification.ts';
import { joinPath } from './windows-paths.ts';

/** Precedes the text of a failure to create the compute system (§10 step 8). */
export const createErrorPrefix = 'error while creating the compute system: ';

export function buildDocument(input: BuildInput): BuildOutcome {
  const options = withId(input);
  const context: BuildContext = {
    options,
    host: input.host,
    files: input.files,
    randomGuid: input.randomGuid,
    scrubLogs: input.scrubLogs,
    switches: input.switches,
    scsiControllerCount: scsiControllerCount(options, input.host),
    effects: [],
    warnings: [],
    scsiSlots: [],
    vpmemSlots: [],
    assigned: [],
  };
  const { result, execCommandLine } = attempt(context);
  return {
    effects: context.effects,
    result,
    warnings: context.warnings,
    devices: {
      scsiControllerCount: context.scsiControllerCount,
      scsiSlots: context.scsiSlots,
      vpmemSlots: context.vpmemSlots,
      assigned: context.assigned,
    },
    optionsAfter:
      execCommandLine === options.ExecCommandLine ? options : { ...options, ExecCommandLine: execCommandLine },
    removeOnClose: removedOnClose(options),
  };
}

function withId(input: BuildInput): LinuxOptions {
  const { options } = input;
  return options.ID === '' ? { ...options, ID: input.randomGuid() } : options;
}

interface Attempt {
  readonly result: BuildResult;
  readonly execCommandLine: string;
}

function attempt(context: BuildContext): Attempt {
  try {
    verifyOptions(context.options, context.host);
    const machine = buildMachine(context);
    const { document, processorCount, memorySizeInMB, execCommandLine } = machine;
    return {
      result: { kind: 'document', document, text: documentText(document), processorCount, memorySizeInMB },
      execCommandLine,
    };
  } catch (error) {
    if (!(error instanceof DocumentError)) {
      throw error;
    }
    const result: BuildResult = { kind: 'error', code: error.code, message: error.message };
    return { result, execCommandLine: context.options.ExecCommandLine };
  }
}

/** Quirk 15: SecurityPolicyEnabled alone selects the SNP document; policy text and guest state file do not. */
function buildMachine(context: BuildContext): BuiltMachine {
  return context.options.SecurityPolicyEnabled ? buildSnpDocument(context) : buildOrdinaryDocument(context);
}

/** Quirk 11: only the VMGS copy is removed. The staged VHD is deleted with its folder. */
function removedOnClose(options: LinuxOptions): readonly string[] {
  const staged = options.SecurityPolicyEnabled && options.GuestStateFilePath !== '';
  return staged ? [joinPath(options.BundleDirectory, options.GuestStateFilePath)] : [];
}
