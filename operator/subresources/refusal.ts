// The refusal of a request, in the format of the API server, so that every client understands it. Codes and texts of an
// agent pass through here on their way to a user's terminal.

import type { StreamProblem } from '../../protocol/streams/messages.ts';
import { plainText } from '../../runtime/plain-text.ts';

export interface Refusal {
  readonly code: number;
  /** Reason as in a Kubernetes Status. */
  readonly reason: string;
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

export const notFound = (message: string): Refusal => ({ code: 404, reason: 'NotFound', message });
export const badRequest = (message: string): Refusal => ({ code: 400, reason: 'BadRequest', message });
export const unauthorized = (message: string): Refusal => ({ code: 401, reason: 'Unauthorized', message });
export const forbidden = (message: string): Refusal => ({ code: 403, reason: 'Forbidden', message });
export const tooManyRequests = (message: string): Refusal => ({
  code: 429,
  reason: 'TooManyRequests',
  message,
  retryAfterSeconds: 1,
});
/** Another attempt may succeed soon. */
export const unavailable = (message: string): Refusal => ({
  code: 503,
  reason: 'ServiceUnavailable',
  message,
  retryAfterSeconds: 1,
});

const codes: Readonly<Record<StreamProblem, number>> = {
  NoSuchVirtualMachine: 503,
  NotRunning: 409,
  GuestNotConnected: 409,
  ExecNotAllowed: 403,
  NoConsole: 409,
  ConsoleInUse: 409,
  NoDocument: 404,
  NoLog: 404,
  NoStacks: 404,
  TooManyStreams: 429,
  TooManyConnections: 429,
  PortNotAllowed: 403,
  ForwardingNotAllowed: 403,
  ConnectionRefused: 409,
  ConnectionTimedOut: 504,
  ConnectionLost: 502,
  CommandFailed: 422,
  ExitCodeLost: 500,
  SessionLost: 503,
  Failed: 500,
};

/** The refusal for an agent's problem; an unknown reason passes through. */
export function refusalOf(problem: string, message: string): Refusal {
  const code = new Map<string, number>(Object.entries(codes)).get(problem) ?? 500;
  return { code, reason: problem, message, ...(code === 503 && { retryAfterSeconds: 1 }) };
}

export function statusOf({ code, message, reason }: Refusal): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: plainText(message),
    reason,
    code,
  };
}
