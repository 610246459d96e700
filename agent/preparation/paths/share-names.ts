// The rules for folders that a manifest shares with its guest: which VMs may have shares at all, the folders on the
// host, and the paths in the guest. The CRD has the same rules where they need no host. The agent checks them again for
// objects of older CRDs.
import { mountPathProblem, mountPathsOverlap } from '../../../crds/spec/mount-paths.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { type PathPolicy, refusalOf } from './path-policy.ts';

export type WantedShare = NonNullable<RequestedOptions['Shares']>[number];

export interface ShareRefusal {
  readonly reason: 'PathNotAllowed' | 'InvalidOptions';
  readonly message: string;
}

/** The first refusal; undefined when the VM may have all of its shares. */
export function refusalOfShares(requested: RequestedOptions, policy: PathPolicy): ShareRefusal | undefined {
  const { Disks: disks = [], Shares: shares = [] } = requested;
  const general = shares.length === 0 ? undefined : refusalOfAnyShare(requested);
  if (general !== undefined) return { reason: 'InvalidOptions', message: `fileShares.shares: ${general}` };
  const taken = disks.flatMap(({ mountPath, name }) =>
    mountPath === undefined ? [] : [{ path: mountPath, what: `disk ${name}` }],
  );
  for (const share of shares) {
    const refusal = refusalOfAccess(share, requested) ?? refusalOfPaths(share, taken, policy);
    if (refusal !== undefined) return refusal;
    taken.push({ path: share.guestPath, what: `share ${share.name}` });
  }
  return undefined;
}

/** The field of a share in the manifest, up to the name of a member. */
export function fieldOfShare({ name }: Pick<WantedShare, 'name'>): string {
  return `fileShares.shares[${name}]`;
}

function refusalOfAnyShare({ SecurityPolicy, SecurityPolicyEnabled, UseGuestConnection }: RequestedOptions) {
  // A manifest with `confidential` always has one of these options, whatever its value.
  if (SecurityPolicy !== undefined || SecurityPolicyEnabled !== undefined) {
    return 'a confidential VM has no shares, because the host could change what its guest reads: leave them out';
  }
  const fix = 'set guest.useConnection to true';
  return UseGuestConnection === false ? `the guest is told to mount over its connection: ${fix}` : undefined;
}

function refusalOfAccess(share: WantedShare, { NoWritableFileShares }: RequestedOptions): ShareRefusal | undefined {
  if (share.readOnly || NoWritableFileShares !== true) return undefined;
  const fix = 'set readOnly to true';
  return { reason: 'InvalidOptions', message: `${fieldOfShare(share)}: fileShares.disableWritable refuses it: ${fix}` };
}

interface TakenPath {
  readonly path: string;
  readonly what: string;
}

function refusalOfPaths(share: WantedShare, taken: readonly TakenPath[], policy: PathPolicy): ShareRefusal | undefined {
  const { guestPath, path, readOnly } = share;
  const refuse = (problem: string): ShareRefusal => ({
    reason: 'PathNotAllowed',
    message: `${fieldOfShare(share)}.${problem}`,
  });
  const onHost = refusalOf(path, readOnly ? 'readOnlyShare' : 'writableShare', policy);
  if (onHost !== undefined) return refuse(`path: ${path} ${onHost}`);
  const inGuest = mountPathProblem(guestPath);
  if (inGuest !== undefined) return refuse(`guestPath: ${guestPath} ${inGuest}`);
  // A mount that fails deletes what is at its target.
  const other = taken.find((each) => mountPathsOverlap(each.path, guestPath));
  if (other === undefined) return undefined;
  return refuse(`guestPath: ${guestPath} must not be equal to, above or below ${other.path} of ${other.what}`);
}
