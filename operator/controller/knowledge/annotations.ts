// What users request by annotations. Annotations are free text that the API server does not validate.
import { forceDeleteAnnotation, pausedAnnotation, restartedAtAnnotation } from '../../../crds/linux-utility-vm.ts';
import { sha256Hex } from '../../../protocol/digest.ts';
import { limits } from '../../../protocol/messages.ts';
import { beginning } from '../../../runtime/beginning.ts';
import { plainText } from '../../../runtime/plain-text.ts';
import type { StoredMeta } from '../../kubernetes/objects.ts';

/** The values of Go's strconv.ParseBool. */
const truths: ReadonlySet<string> = new Set(['1', 't', 'T', 'TRUE', 'true', 'True']);
const falsehoods: ReadonlySet<string> = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False']);

const restartedAtChars = 1_024;
const shownChars = 64;

export function isPaused({ annotations }: StoredMeta): boolean {
  return truths.has(annotations?.[pausedAnnotation] ?? '');
}

export interface RestartRequest {
  /** Equal for equal values of the annotation, whatever their length. */
  readonly restartedAt?: string;
  /** The value that operators and agents of earlier versions compared instead. */
  readonly restartedAtPrefix?: string;
}

/**
 * A value of 64 characters or more is sent as its digest. A value of more than 1,024 characters requests nothing
 * (`annotationWarnings`).
 */
export function restartRequest({ annotations }: StoredMeta): RestartRequest {
  const value = annotations?.[restartedAtAnnotation];
  if (value === undefined || value.length > restartedAtChars) return {};
  if (value.length < limits.restartedAtChars) return { restartedAt: value };
  return { restartedAt: sha256Hex(value), restartedAtPrefix: value.slice(0, limits.restartedAtChars) };
}

/** The restart annotation has a value that was not handled yet. */
export function isRestartRequested(
  metadata: StoredMeta,
  handled: { readonly restartedAt?: string | undefined },
): boolean {
  const { restartedAt, restartedAtPrefix } = restartRequest(metadata);
  if (restartedAt === undefined) return false;
  return handled.restartedAt === undefined || ![restartedAt, restartedAtPrefix].includes(handled.restartedAt);
}

const warningPrefix = 'annotation lcow.dev/';

/** Whether the warning is one of `annotationWarnings`. */
export function isAnnotationWarning(warning: string): boolean {
  return warning.startsWith(warningPrefix);
}

/** Warnings about annotations that have no effect, although their author may expect one. */
export function annotationWarnings({ annotations = {} }: StoredMeta): readonly string[] {
  const warnings: string[] = [];
  const paused = annotations[pausedAnnotation];
  if (paused !== undefined && !truths.has(paused) && !falsehoods.has(paused)) {
    warnings.push(
      `annotation ${pausedAnnotation}: ${shown(paused)} is neither true nor false, so it does not pause the VM`,
    );
  }
  const { length } = annotations[restartedAtAnnotation] ?? '';
  if (length > restartedAtChars) {
    const bound = `more than ${restartedAtChars} are not allowed, so the VM is not restarted`;
    warnings.push(`annotation ${restartedAtAnnotation}: the value has ${length} characters; ${bound}`);
  }
  const force = annotations[forceDeleteAnnotation];
  if (force !== undefined && force !== 'true' && !falsehoods.has(force)) {
    warnings.push(`annotation ${forceDeleteAnnotation}: ${shown(force)} has no effect; only "true" has one`);
  }
  return warnings;
}

function shown(value: string): string {
  return JSON.stringify(plainText(beginning(value, shownChars)));
}
