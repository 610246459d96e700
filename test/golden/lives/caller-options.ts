// What a VM of a life is made with, as its manifest says it.
import { type RequestedOptions, requestedOptions } from '../../../protocol/options.ts';
import { type Life, LifeFormatError } from './life.ts';

const rootFileSystems = ['InitRd', 'VHD'] as const;
/** The newer shim boots from a SCSI disk. */
const controllerOptions: RequestedOptions = { VPMemDeviceCount: 0, SCSIControllerCount: 4, PreferredRootFSType: 'VHD' };
/** Where the original puts its copies; this agent has a place of its own. */
const placesOfTheOriginal: ReadonlySet<string> = new Set(['BundleDirectory', 'ID', 'Owner']);

/** Throws a `LifeFormatError` for an option that no manifest has. */
export function optionsOf({ api, name, options }: Life): RequestedOptions {
  const entries = Object.entries(options).flatMap(([option, value]) => {
    // An empty name is what a manifest says by leaving it out.
    if (placesOfTheOriginal.has(option) || value === '') return [];
    // The option stands for the SNP document here; without a guest state file the original makes the ordinary one.
    if (option === 'SecurityPolicyEnabled' && !('GuestStateFilePath' in options)) return [];
    if (option !== 'PreferredRootFSType') return [[option, value] as const];
    const type = rootFileSystems[Number(value)];
    return type === undefined ? [] : [[option, type] as const];
  });
  const parsed = requestedOptions.safeParse(Object.fromEntries(entries));
  if (!parsed.success) {
    const [first] = parsed.error.issues;
    throw new LifeFormatError(`life '${name}', options.${first?.path.join('.')}: ${first?.message}`);
  }
  return { ...(api === 'controller' && controllerOptions), ...parsed.data };
}
