// How the document of a converted manifest differs, on one host, from the one that hcsshim makes of the annotations.
import type { SpecConversion } from '../../annotations/convert.ts';
import { optionsOf } from '../../annotations/options.ts';
import { linuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import { fromSpec } from '../../protocol/options.ts';
import { buildDocument } from '../document/build.ts';
import type { BuildInput } from '../document/build-context.ts';
import { changeOptions } from '../document/options.ts';
import type { BuildResult } from '../document/outcome.ts';
import { fillOptions } from '../preparation/requested-options.ts';
import type { PreviewHost } from './preview-host.ts';

const id = 'converted';

/** One line for each difference. Without `owner`, the owner is no difference. */
export function documentRemarks(conversion: SpecConversion, host: PreviewHost, owner = host.owner): readonly string[] {
  const original = originalResult(conversion, host, owner);
  const ours = manifestResult(conversion, host);
  if (original.kind === 'error') return [`on this host hcsshim refuses the annotations: ${original.message}`];
  if (ours.kind === 'error') return [`on this host the agent refuses the manifest: ${ours.message}`];
  if (original.text === ours.text) return [];
  return differences(JSON.parse(original.text), JSON.parse(ours.text), '');
}

function originalResult({ given }: SpecConversion, host: PreviewHost, owner: string): BuildResult {
  const options = optionsOf(given, { id, owner }, host.defaults, host.files);
  return built(host, { options: changeOptions(options, { BundleDirectory: host.bundleDirectory(id) }) });
}

function manifestResult({ given, spec }: SpecConversion, host: PreviewHost): BuildResult {
  const requested = fromSpec(linuxUtilityVMSpec.parse(spec), { securityPolicy: given.SecurityPolicy });
  const machine = { id, owner: host.owner, bundleDirectory: host.bundleDirectory(id), requested };
  return built(host, fillOptions(machine, host.defaults, host.files));
}

function built(host: PreviewHost, input: Pick<BuildInput, 'options' | 'scrubLogs' | 'switches'>): BuildResult {
  let devices = 0;
  const randomGuid = () => `vmbus-${devices++}`;
  return buildDocument({ ...input, host: host.facts, files: host.files, randomGuid }).result;
}

function differences(original: unknown, ours: unknown, path: string): string[] {
  if (isContainer(original) && isContainer(ours)) {
    const [before, after] = [membersOf(original), membersOf(ours)];
    const names = new Set([...before.keys(), ...after.keys()]);
    return [...names].flatMap((name) =>
      differences(before.get(name), after.get(name), path === '' ? name : `${path}.${name}`),
    );
  }
  return Object.is(original, ours)
    ? []
    : [`${path} is ${shown(original)} in hcsshim's document on this host, and ${shown(ours)} in that of the manifest`];
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function membersOf(value: object): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(value));
}

function shown(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
