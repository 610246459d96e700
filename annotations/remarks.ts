// What `convert` says about annotations that the manifest does not contain. One line each: the key, the reason, and what
// to do.
import { Key, PodKey, vmPrefix } from './keys.ts';
import type { IgnoredAnnotation } from './reader.ts';

export interface Remark {
  /** The key of the annotation, or the place in the OCI spec. */
  readonly key: string;
  readonly reason: string;
  readonly advice: string;
}

export function remarkLine({ advice, key, reason }: Remark): string {
  return `${key}: ${reason}; ${advice}`;
}

export function remarkOnIgnored({ key, problem, warns }: IgnoredAnnotation): Remark {
  const how = warns ? 'with a warning' : 'without a warning';
  return { key, reason: `hcsshim ignores it ${how}: ${problem}`, advice: 'correct it or leave it out' };
}

/** Keys that only later revisions of hcsshim read, with the field that has their value. */
const laterKeys: ReadonlyMap<string, string> = new Map([
  [`${vmPrefix}bootfilesrootpath`, 'boot.filesPath'],
  [`${vmPrefix}uvm-hash-envelope-reference-info-file`, 'confidential.uvmHashEnvelopeReferenceInfoFile'],
  [`${vmPrefix}lcow.extra-exec-command-args`, 'boot.extraExecArgs'],
]);

const readKeys: ReadonlySet<string> = new Set([...Object.values(Key), PodKey.DisableUnsafeOperations]);

/** Undefined: hcsshim reads an option of the VM from this key, or the key has nothing to do with hcsshim. */
export function remarkOnKey(key: string): Remark | undefined {
  if (readKeys.has(key) || key.startsWith(Key.HvSocketServicePrefix)) return undefined;
  const field = laterKeys.get(key);
  if (field !== undefined) {
    return {
      key,
      reason: 'hcsshim reads this key only in later versions',
      advice: `set spec.${field} if the value should have an effect`,
    };
  }
  if (key.startsWith(`${vmPrefix}wcow.`)) {
    return { key, reason: 'it is for Windows guests', advice: 'leave it out' };
  }
  if (key.startsWith(vmPrefix)) {
    return { key, reason: 'hcsshim ignores this unknown key', advice: 'check its spelling, or leave it out' };
  }
  return key.startsWith('io.microsoft.') || key.startsWith('microsoft.com/')
    ? { key, reason: 'it is not an option of a Linux VM', advice: 'leave it out' }
    : undefined;
}
