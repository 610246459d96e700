// Decides whether a manifest may use a file of the host: first by its name alone, so that nothing outside the allowed
// folders is even looked at; then by its final path, because a link or an 8.3 name leads elsewhere.
//
// HCS takes paths, not handles. Between this check and the use of the file, anybody who may write to the allowed folder
// can still exchange the file. The path that is used contains no links, so only this folder itself has to be trusted.
import type { Assignment } from '../../../protocol/messages.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { messageOf } from '../../../runtime/error-text.ts';
import { MachineFailure } from '../../failure.ts';
import type { OpenFile, WindowsHost } from '../../node/host.ts';
import type { AllowList } from '../allow-list.ts';
import { refusalOfNames } from './host-names.ts';
import { type PathPolicy, type PathUse, refusalOf } from './path-policy.ts';
import { type PathRule, ruleOf, rulesFor } from './path-rules.ts';
import { fieldOfShare, type WantedShare } from './share-names.ts';
import { foreignContentProblem, virtualDiskProblem } from './virtual-disk.ts';
import { foldCase } from './windows-names.ts';

export interface AdmissionScope {
  readonly host: Pick<WindowsHost, 'withFile'>;
  readonly namespace: string;
  readonly allowed: AllowList;
  readonly bootFolder: string;
  /** The agent's own folders. */
  readonly closed: readonly string[];
}

export type WantedDisk = NonNullable<RequestedOptions['Disks']>[number];

/** A disk that may be attached. */
export interface AdmittedDisk {
  /** Without links and short names. */
  readonly path: string;
  /** The disk's folder is read-only, so all VMs may share access to it. */
  readonly isShared: boolean;
}

/** Looks up nothing on the host. Throws a `MachineFailure` that names the field and what would help. */
export function requireAllowedNames({ options }: Pick<Assignment, 'options'>, scope: AdmissionScope): void {
  const { allowed, namespace } = scope;
  const { devices, pipes } = allowed;
  const refusal = refusalOfNames(options, { namespace, policy: policyOf(scope), pipes, devices });
  if (refusal !== undefined) throw new MachineFailure(refusal.reason, refusal.message);
}

/** Judges files by their final paths. The folders of the rules are looked up once. */
export class FileAdmission {
  readonly #scope: AdmissionScope;
  readonly #policy: PathPolicy;

  private constructor(scope: AdmissionScope, policy: PathPolicy) {
    this.#scope = scope;
    this.#policy = policy;
  }

  static async open(scope: AdmissionScope): Promise<FileAdmission> {
    return new FileAdmission(scope, await finalPolicy(scope));
  }

  /**
   * Each existing file must be allowed by its final path, too. A file that is a disk must not depend on another file.
   */
  async requireBootFiles(paths: readonly string[]): Promise<void> {
    const check = async (path: string) =>
      this.#withFile(path, async (file) => {
        const what = `boot file ${path}`;
        requireFinalPath(what, file, 'boot', this.#policy);
        const problem = file.kind === 'file' ? await foreignContentProblem(file) : undefined;
        if (problem !== undefined) throw new MachineFailure('PathNotAllowed', `${what} ${problem}`);
      });
    await Promise.all(paths.map(check));
  }

  /**
   * Undefined when there is no such file. Rejects with `PathNotAllowed`, or with `DiskFailed` when the file cannot be
   * examined.
   */
  async admitDisk(disk: WantedDisk): Promise<AdmittedDisk | undefined> {
    requireAllowedNames({ options: { Disks: [disk] } }, this.#scope);
    const { name, path, readOnly } = disk;
    const what = `storage.disks[${name}].path: ${path}`;
    return await this.#withFile(path, async (file) => {
      requireFinalPath(what, file, readOnly ? 'readOnlyDisk' : 'writableDisk', this.#policy);
      const problem = await diskProblem(file);
      if (problem !== undefined) throw new MachineFailure('PathNotAllowed', `${what} ${problem}`);
      return { path: file.path, isShared: ruleOf(file.path, this.#policy.rules)?.isReadOnly === true };
    });
  }

  /**
   * The path without links and short names; undefined when there is no such folder. Rejects with a `MachineFailure`.
   * @param requested the options of the VM; of its disks and shares, only this share is judged
   */
  async admitShare(share: WantedShare, requested: RequestedOptions): Promise<string | undefined> {
    const { NoWritableFileShares, SecurityPolicy, SecurityPolicyEnabled, UseGuestConnection } = requested;
    const rights = { NoWritableFileShares, SecurityPolicy, SecurityPolicyEnabled, UseGuestConnection };
    requireAllowedNames({ options: { ...rights, Shares: [share] } }, this.#scope);
    const { path, readOnly } = share;
    const what = `${fieldOfShare(share)}.path: ${path}`;
    const look = async (folder: OpenFile) => {
      requireFinalPath(what, folder, readOnly ? 'readOnlyShare' : 'writableShare', this.#policy);
      if (folder.kind !== 'folder') throw new MachineFailure('PathNotAllowed', `${what} is not a folder`);
      return folder.path;
    };
    return await this.#withFile(path, look, 'ShareFailed');
  }

  async #withFile<T>(
    path: string,
    use: (file: OpenFile) => Promise<T>,
    reason: 'DiskFailed' | 'ShareFailed' = 'DiskFailed',
  ): Promise<T | undefined> {
    return await this.#scope.host.withFile(path, use).catch((error: unknown) => {
      if (error instanceof MachineFailure) throw error;
      throw new MachineFailure(reason, `${path} cannot be examined: ${messageOf(error)}`, error);
    });
  }
}

async function diskProblem(file: OpenFile): Promise<string | undefined> {
  if (file.kind === 'folder') return 'is a folder: name the file of a disk';
  // A VHD set names other files that have its content.
  if (foldCase(file.path).endsWith('.VHDS')) return 'is a VHD set: name a single disk';
  return await virtualDiskProblem(file);
}

function requireFinalPath(what: string, { path }: OpenFile, use: PathUse, policy: PathPolicy): void {
  const problem = refusalOf(path, use, policy);
  // The message does not tell where the path leads: that is not the user's to know.
  if (problem !== undefined) throw new MachineFailure('PathNotAllowed', `${what} leads to a file that ${problem}`);
}

function policyOf({ allowed, bootFolder, closed, namespace }: AdmissionScope): PathPolicy {
  return { rules: rulesFor(namespace, allowed.paths), bootFolder, closed };
}

/** The policy with the final paths of its folders, so that an administrator may allow a folder through a link. */
async function finalPolicy(scope: AdmissionScope): Promise<PathPolicy> {
  const { bootFolder, closed, rules } = policyOf(scope);
  const finalOf = (path: string) => finalPath(path, scope);
  const [finalRules, finalBootFolder, finalClosed] = await Promise.all([
    Promise.all(rules.map(async (rule): Promise<PathRule> => ({ ...rule, folder: await finalOf(rule.folder) }))),
    finalOf(bootFolder),
    Promise.all(closed.map(finalOf)),
  ]);
  return { rules: finalRules, bootFolder: finalBootFolder, closed: [...closed, ...finalClosed] };
}

/** A folder that is missing or not accessible keeps its own path. */
async function finalPath(path: string, { host }: AdmissionScope): Promise<string> {
  const found = await host.withFile(path, async (folder) => folder.path).catch(() => undefined);
  return found ?? path;
}
