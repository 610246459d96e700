// Whether a restart that somebody has asked for is still to come.
import { restartedAtAnnotation } from '../crds/names.ts';

/** The status has a digest in place of a longer value. */
const comparedChars = 64;

export interface Restartable {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
  readonly status: { readonly restartedAt?: string | undefined };
}

export function isRestartRequested({ metadata: { annotations }, status }: Restartable): boolean {
  const value = annotations[restartedAtAnnotation];
  if (value === undefined) return false;
  return status.restartedAt === undefined || (value.length < comparedChars && value !== status.restartedAt);
}
