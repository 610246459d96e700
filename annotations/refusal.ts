// Whether hcsshim refuses annotations on every host: it checks options, builds the document, and fails the pod with the
// error. The host here can do everything and has every file, so that an error is the annotations' own.
import { buildDocument } from '../agent/document/build.ts';
import type { DefaultsHost } from '../agent/document/defaults.ts';
import type { FileFacts, HostFacts } from '../agent/document/facts.ts';
import { changeOptions, type LinuxOptions } from '../agent/document/options.ts';
import { DocumentError } from '../agent/document/outcome.ts';
import { verifyOptions } from '../agent/document/verification.ts';
import type { GivenOptions } from './given.ts';
import { optionsOf } from './options.ts';

const architecture = 'amd64';
const build = 0xffff;
const facts: HostFacts = { architecture, build, processors: { kind: 'known', logicalProcessors: 0x7fff_ffff } };
const defaults: DefaultsHost = {
  architecture,
  build,
  visibleProcessors: 2,
  bootFolder: 'C:\\LinuxBootFiles',
  currentDirectory: 'C:\\',
};
const everyFile: FileFacts = { stat: () => ({ kind: 'file', size: 1 << 20 }) };

/** The error in hcsshim's words; undefined: a host can accept the annotations. */
export function refusalOf(given: GivenOptions): string | undefined {
  const options = optionsOf(given, { id: 'vm', owner: 'hcsshim' }, defaults, everyFile);
  try {
    verifyOptions(options, facts);
  } catch (error) {
    if (error instanceof DocumentError) return error.message;
    throw error;
  }
  return isExact(options) ? buildError(changeOptions(options, { BundleDirectory: 'C:\\bundle' })) : undefined;
}

function buildError(options: LinuxOptions): string | undefined {
  let devices = 0;
  const randomGuid = () => `vmbus-${devices++}`;
  const { result } = buildDocument({ options, host: facts, files: everyFile, randomGuid });
  return result.kind === 'error' ? result.message : undefined;
}

/** Node 20, on which the plugin runs, cannot write other numbers into a document. No manifest can have them either. */
function isExact(options: LinuxOptions): boolean {
  const numbers = [...Object.values(options), ...options.NumaMemoryBlocksCounts];
  return numbers.every((value) => typeof value !== 'bigint' || value <= BigInt(Number.MAX_SAFE_INTEGER));
}
