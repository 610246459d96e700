// The documents of hcsshim and of the agent for the same annotations on the same host.
import { buildDocument } from '../../../agent/document/build.ts';
import type { DefaultsHost } from '../../../agent/document/defaults.ts';
import type { FileFacts } from '../../../agent/document/facts.ts';
import { changeOptions } from '../../../agent/document/options.ts';
import { fillOptions } from '../../../agent/preparation/requested-options.ts';
import type { GivenOptions } from '../../../annotations/given.ts';
import { optionsOf } from '../../../annotations/options.ts';
import { linuxUtilityVMSpec } from '../../../crds/linux-utility-vm.ts';
import { fromSpec } from '../../../protocol/options.ts';

export interface DocumentHost {
  readonly defaults: DefaultsHost;
  readonly logicalProcessors: number;
  readonly files: FileFacts;
}

const id = 'vm-1';
const owner = 'containerd-shim-runhcs-v1.exe';
const bundleDirectory = 'C:\\bundle';

/** The exact text of the document, or the error. */
export function originalDocument(given: GivenOptions, host: DocumentHost): string {
  const options = optionsOf(given, { id, owner }, host.defaults, host.files);
  return built(host, { options: changeOptions(options, { BundleDirectory: bundleDirectory }) });
}

/** The agent’s own additions are off: see docs/documents.md, "Beyond the reference". */
export function manifestDocument(spec: unknown, host: DocumentHost): string {
  const requested = fromSpec(linuxUtilityVMSpec.parse(spec));
  const { options } = fillOptions({ id, owner, bundleDirectory, requested }, host.defaults, host.files);
  return built(host, { options });
}

function built(host: DocumentHost, { options }: Pick<Parameters<typeof buildDocument>[0], 'options'>): string {
  const { architecture, build } = host.defaults;
  let devices = 0;
  const { result } = buildDocument({
    options,
    host: { architecture, build, processors: { kind: 'known', logicalProcessors: host.logicalProcessors } },
    files: host.files,
    randomGuid: () => `vmbus-${devices++}`,
  });
  return result.kind === 'document' ? result.text : result.message;
}
