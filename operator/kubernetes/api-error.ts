// The outcomes of a call to the API server. Errors are values: the caller decides, and nothing is thrown.
import { z } from 'zod';

export interface ApiError {
  /** HTTP status; 0 when there was no answer. */
  readonly code: number;
  /** `reason` of the Status object, or `ConnectionFailed`, `Timeout`, `Aborted`, `Fenced`, `MalformedResponse`, `StaleList`. */
  readonly reason: string;
  readonly message: string;
  /** The same request may succeed later. */
  readonly retryable: boolean;
  readonly retryAfterMilliseconds?: number;
  /** The object that the error is about, as the API server names it. */
  readonly objectName?: string;
}

export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ApiError };

export function succeeded<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function failed<T>(error: ApiError): Outcome<T> {
  return { ok: false, error };
}

/** The object does not exist. A 404 without an object name only says that the kind is not served (yet, or any more). */
export const isNotFound = (error: ApiError): boolean =>
  error.code === 404 && error.reason === 'NotFound' && error.objectName !== undefined;
/** The API server does not know the kind. */
export const isUnservedKind = (error: ApiError): boolean => error.code === 404 && error.objectName === undefined;
export const isConflict = (error: ApiError): boolean => error.code === 409 && error.reason !== 'AlreadyExists';
export const isAlreadyExists = (error: ApiError): boolean => error.code === 409 && error.reason === 'AlreadyExists';
export const isGone = (error: ApiError): boolean => error.code === 410 || error.reason === 'Expired';

const statusObject = z.object({
  code: z.number().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  details: z.object({ name: z.string().optional(), retryAfterSeconds: z.number().optional() }).optional(),
});

/** From the answer to a request, or from the `ERROR` event of a watch. */
export function apiErrorFromStatus(code: number, body: unknown, retryAfterHeader?: string): ApiError {
  const parsed = statusObject.safeParse(body);
  const status = parsed.success ? parsed.data : {};
  const effectiveCode = code === 0 ? (status.code ?? 0) : code;
  const retryAfter = Number(retryAfterHeader ?? status.details?.retryAfterSeconds ?? Number.NaN);
  return {
    code: effectiveCode,
    reason: status.reason ?? `Http${effectiveCode}`,
    message: status.message ?? `the API server answered ${effectiveCode}`,
    retryable: effectiveCode === 429 || effectiveCode >= 500,
    ...(status.details?.name === undefined ? {} : { objectName: status.details.name }),
    ...(Number.isFinite(retryAfter) && retryAfter >= 0 ? { retryAfterMilliseconds: retryAfter * 1000 } : {}),
  };
}

export function connectionError(
  reason: 'ConnectionFailed' | 'Timeout' | 'Aborted' | 'Fenced' | 'MalformedResponse' | 'StaleList',
  message: string,
): ApiError {
  return { code: 0, reason, message, retryable: reason !== 'Aborted' };
}
