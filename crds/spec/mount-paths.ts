// Paths at which a guest may mount what a manifest gives it. The guest agent deletes the target of a mount that fails,
// and everything below a path that it unmounts. So no mount path may be a folder that the guest itself needs, and none
// may equal, contain or lie below another one. The CRD checks this in CEL, and the agent checks it again for objects of
// older CRDs.
import type { Rule } from '../fields.ts';

/** Neither these nor any folder below them. */
const systemTrees: readonly string[] = [
  ...['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr'],
  ...['boot', 'dev', 'etc', 'init', 'proc', 'sys'],
  ...['run/layers', 'var/lock', 'var/run'],
];

/** Not these, but folders below them. */
const systemFolders: readonly string[] = [
  ...['root', 'run', 'tmp', 'var'],
  ...['run/gcs', 'run/gcs/c', 'run/mounts', 'run/mounts/scsi'],
  ...['var/cache', 'var/lib', 'var/log', 'var/spool', 'var/tmp'],
];

const systemPattern = `^/((${systemTrees.join('|')})(/.*)?|${systemFolders.join('|')})$`;
const shape = String.raw`^(/[^/\x00-\x1f\x7f]+)+$`;
const dots = String.raw`/\.{1,2}(/|$)`;

const shapeMessage = 'must be an absolute guest path such as /mnt/data, without . or .. and without / at the end';
const systemMessage = 'must not be a folder that the guest itself needs: choose one of its own, such as /mnt/data';

/** Rules for one path. */
export const mountPathRules: readonly Rule[] = [
  { rule: `self.matches(r'''${shape}''') && !self.matches(r'''${dots}''')`, message: shapeMessage },
  { rule: `!self.matches('${systemPattern}')`, message: systemMessage },
];

/** Rules for `storage.disks`. */
export const distinctMountPaths: readonly Rule[] = [
  {
    rule: 'self.all(a, !has(a.mountPath) || self.exists_one(b, has(b.mountPath) && b.mountPath == a.mountPath))',
    message: 'storage.disks must not share a mountPath: give each disk its own',
  },
  {
    // Each path gets its slash once, outside the inner loop, which keeps the rule's estimated cost low.
    rule: "self.all(a, !has(a.mountPath) || [a.mountPath + '/'].all(p, !self.exists(b, has(b.mountPath) && b.mountPath.startsWith(p))))",
    message: 'storage.disks must not have a mountPath below that of another disk: mount them beside each other',
  },
];

/** Rules for `fileShares.shares`, whose `guestPath` is always given. */
export const distinctGuestPaths: readonly Rule[] = [
  {
    rule: 'self.all(a, self.exists_one(b, b.guestPath == a.guestPath))',
    message: 'fileShares.shares must not share a guestPath: give each share its own',
  },
  {
    rule: "self.all(a, [a.guestPath + '/'].all(p, !self.exists(b, b.guestPath.startsWith(p))))",
    message: 'fileShares.shares must not have a guestPath below that of another share: mount them beside each other',
  },
];

/** The same between disks and shares: a rule for the whole spec. */
export const distinctMounts: Rule = {
  rule: `!has(self.fileShares) || !has(self.fileShares.shares) || !has(self.storage) || !has(self.storage.disks) || self.fileShares.shares.all(s, [s.guestPath + '/'].all(p, !self.storage.disks.exists(d, has(d.mountPath) && (d.mountPath == s.guestPath || d.mountPath.startsWith(p) || s.guestPath.startsWith(d.mountPath + '/')))))`,
  message:
    'fileShares.shares must not have a guestPath equal to, above or below the mountPath of a disk: mount them beside each other',
  fieldPath: '.fileShares.shares',
};

const isWellFormed = new RegExp(shape);
const hasDots = new RegExp(dots);
const isSystem = new RegExp(systemPattern);

/** What is wrong with a path, regardless of others, in the words of the CRD. */
export function mountPathProblem(path: string): string | undefined {
  if (!isWellFormed.test(path) || hasDots.test(path)) return shapeMessage;
  return isSystem.test(path) ? systemMessage : undefined;
}

/** True when the paths are equal or one is above the other. */
export function mountPathsOverlap(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}
