// The kinds of field that occur in more than one place, each with its bounds and rules.
//
// Text is checked by CEL rules rather than by `pattern`, because a rule's message can say what to write instead. Every
// string and list has a bound: the API server estimates the cost of a rule from the bounds and refuses a CRD whose
// rules could cost too much.
import { z } from 'zod';

/** One entry of `x-kubernetes-validations`. */
export interface Rule {
  readonly rule: string;
  /** Says what is wrong and what to do. It names the field if the rule spans several fields. */
  readonly message: string;
  /** The member that the error points at, relative to the object that has the rule. */
  readonly fieldPath?: string;
  /** The rule is also evaluated when an object is created. Then `oldSelf` is an optional without a value. */
  readonly optionalOldSelf?: true;
}

/** Metadata that puts CEL rules on a schema. */
export function rules(...entries: readonly Rule[]): { 'x-kubernetes-validations': readonly Rule[] } {
  return { 'x-kubernetes-validations': entries };
}

/** Metadata for a list whose items are identified by some of their members. */
export function listMap(...keys: readonly string[]) {
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys };
}

/** Metadata for a list of distinct values. */
export const listSet = { 'x-kubernetes-list-type': 'set' };

/** Metadata for a list that one manager owns as a whole. */
export const listAtomic = { 'x-kubernetes-list-type': 'atomic' };

/** Metadata for a map that one manager owns as a whole. */
export const mapAtomic = { 'x-kubernetes-map-type': 'atomic' };

export const maxUint32 = 0xffff_ffff;
/** The largest memory size that a manifest can ask for, in MB. It exceeds any host, and sums of it stay exact. */
export const maxMemoryInMB = 2 ** 40;

export function flag(description: string) {
  return z.boolean().meta({ description }).optional();
}

/** An integer up to 2^53 - 1, the largest that JSON carries exactly. */
export function count(description: string, minimum = 0, maximum: number = Number.MAX_SAFE_INTEGER) {
  return z.int().min(minimum).max(maximum).meta({ description });
}

export interface AmountBounds {
  readonly minimum?: number;
  readonly maximum: number;
  /** What a string must look like. Checked without CEL, whose cost for a field of two types exceeds the budget. */
  readonly pattern: RegExp;
  readonly maxLength: number;
}

/** A number, or a string such as `10%`. */
export function amount(description: string, { minimum = 0, maximum, pattern, maxLength }: AmountBounds) {
  return z
    .union([z.int().min(minimum).max(maximum), z.string().max(maxLength).regex(pattern)])
    .meta({ description, 'x-kubernetes-int-or-string': true, minimum, maximum, pattern: pattern.source, maxLength });
}

export function guid(description: string) {
  return z
    .string()
    .max(64)
    .meta({
      description,
      ...rules({
        rule: `self.matches('^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$')`,
        message: 'must be a GUID such as 01234567-89ab-cdef-0123-456789abcdef, without braces',
      }),
    });
}

/** Names that Windows treats as devices in any folder, with any extension. */
const deviceNames = '(con|prn|aux|nul|conin[$]|conout[$]|(com|lpt)[0-9¹²³])';

/** The name of a file in the folder that another field gives. It cannot lead out of that folder. */
export function fileName(description: string, folderField: string) {
  return z
    .string()
    .min(1)
    .max(255)
    .meta({
      description,
      ...rules(
        {
          rule: String.raw`self.matches(r'''^[^\x00-\x1f<>:"/\\|?*]*[^\x00-\x1f<>:"/\\|?*. ]$''')`,
          message: `must be a bare file name: no folder, none of < > : " / \\ | ? *, no dot or space at the end; the folder belongs into ${folderField}`,
        },
        {
          rule: `!self.matches('(?i)^${deviceNames}([ .].*)?$')`,
          message: 'must not be the name of a device, which Windows opens in any folder: rename the file',
        },
      ),
    });
}

/** An absolute path on a drive of the Windows host, spelled as Windows spells it. */
export function windowsPath(description: string) {
  return z
    .string()
    .min(3)
    .max(1024)
    .meta({
      description,
      ...rules(
        {
          rule: String.raw`self.matches(r'''^[A-Za-z]:[\\/][^\x00-\x1f<>:"|?*]*$''')`,
          message: String.raw`must be an absolute Windows path on a drive, such as C:\LinuxBootFiles, without any of < > : " | ? * after the drive: no share, no \\?\ or \\.\ form`,
        },
        {
          rule: String.raw`!self.matches(r'''[. ]([\\/]|$)''')`,
          message:
            'must not have a path element that ends in a dot or space, such as . or .., which Windows takes for another path: write the path without them',
        },
        {
          rule: String.raw`!self.matches(r'''(?i)[\\/]${deviceNames} *([.][^\\/]*)?([\\/]|$)''')`,
          message: 'must not contain the name of a device, such as NUL or COM1: rename the folder or file',
        },
      ),
    });
}

/** Text that becomes part of a command line, which a line break or another control character would break. */
export function commandText(description: string) {
  return z
    .string()
    .max(4096)
    .meta({
      description,
      ...rules({
        rule: String.raw`self.matches(r'''^[^\x00-\x1f\x7f]*$''')`,
        message: 'must not contain control characters: write it on one line, without tabs',
      }),
    });
}

export function timestamp(description: string) {
  return z.string().max(64).meta({ description, format: 'date-time' });
}

export function text(description: string, maximum = 1024) {
  return z.string().max(maximum).meta({ description });
}

export function objectName(description: string) {
  return z
    .string()
    .min(1)
    .max(253)
    .meta({
      description,
      ...rules({
        rule: `self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,
        message: 'must be the name of an object: lower-case letters, digits, - and ., no - or . at either end',
      }),
    });
}
