// Where a guest may mount what a manifest gives it. The guest's agent deletes what is at the target of a mount that fails,
// and whatever lies below a path that it unmounts. So no such path is a folder that the guest itself needs, and none is
// equal to, above or below another one. The CRD says it in CEL, and the agent says it again for objects of older CRDs.
import type { Rule } from '../fields.ts';

/** Neither these nor anything below them. */
const systemTrees: readonly string[] = [
  ...['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr'],
  ...['boot', 'dev', 'etc', 'init', 'proc', 'sys'],
  ...['run/layers', 'var/lock', 'var/run'],
];

/** These not, but folders below them. */
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

/** Of one path. */
export const mountPathRules: readonly Rule[] = [
  { rule: `self.matches(r'''${shape}''') && !self.matches(r'''${dots}''')`, message: shapeMessage },
  { rule: `!self.matches('${systemPattern}')`, message: systemMessage },
];

/** Of a list of objects with `name` and `mountPath`. */
export const distinctMountPaths: readonly Rule[] = [
  {
    rule: 'self.all(a, !has(a.mountPath) || self.exists_one(b, has(b.mountPath) && b.mountPath == a.mountPath))',
    message: 'storage.disks must not share a mountPath: give each disk its own',
  },
  {
    // Each path gets its slash once, outside of the inner loop: the API server estimates the cost of a rule.
    rule: "self.all(a, !has(a.mountPath) || [a.mountPath + '/'].all(p, !self.exists(b, has(b.mountPath) && b.mountPath.startsWith(p))))",
    message: 'storage.disks must not have a mountPath below that of another disk: mount them beside each other',
  },
];

const isWellFormed = new RegExp(shape);
const hasDots = new RegExp(dots);
const isSystem = new RegExp(systemPattern);

/** What is wrong with a path by itself, in the words of the CRD. */
export function mountPathProblem(path: string): string | undefined {
  if (!isWellFormed.test(path) || hasDots.test(path)) return shapeMessage;
  return isSystem.test(path) ? systemMessage : undefined;
}

/** Equal, or one is above the other. */
export function mountPathsOverlap(a: string, b: string): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}
