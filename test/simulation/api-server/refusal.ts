// The refusals of an API server, and the Status object that tells them.
import { type ApiError, apiErrorFromStatus } from '../../../operator/kubernetes/api-error.ts';

const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  NotFound: 404,
  MethodNotAllowed: 405,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;

export class Refusal extends Error {
  readonly reason: keyof typeof codes;
  readonly objectName: string | undefined;

  constructor(reason: keyof typeof codes, message: string, objectName?: string) {
    super(message);
    this.reason = reason;
    this.objectName = objectName;
  }

  get code(): number {
    return codes[this.reason];
  }

  get status(): object {
    const { code, reason, message, objectName } = this;
    const details = objectName === undefined ? {} : { name: objectName };
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason, details, code };
  }

  get error(): ApiError {
    return apiErrorFromStatus(this.code, this.status);
  }
}
