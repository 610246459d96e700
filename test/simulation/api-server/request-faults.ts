// What each fault does to a request.
import type { ApiFault } from './faults.ts';
import { Refusal } from './refusal.ts';

export interface RequestFault {
  /** Whether a write takes effect. */
  readonly effect: 'Always' | 'Perhaps' | 'Later' | 'Never';
  /** A broken connection, no answer at all, or a refusal. */
  readonly answer: 'Broken' | 'None' | Refusal;
  readonly retryAfterSeconds?: number;
}

const unauthorized = new Refusal('Unauthorized', 'Unauthorized');
const tooMany = new Refusal('TooManyRequests', 'the server has received too many requests');
const internal = new Refusal('InternalError', 'etcdserver: no leader');
const unavailable = new Refusal('ServiceUnavailable', 'the server is currently unable to handle the request');
const timeout = new Refusal('Timeout', 'etcdserver: request timed out');
const expired = new Refusal('Expired', 'the watched version is too old');

export const requestFaults = {
  'request lost': { effect: 'Never', answer: 'Broken' },
  'request late': { effect: 'Later', answer: 'Broken' },
  'request unanswered': { effect: 'Perhaps', answer: 'None' },
  'answer lost': { effect: 'Always', answer: 'Broken' },
  unauthorized: { effect: 'Never', answer: unauthorized },
  'too many requests': { effect: 'Never', answer: tooMany, retryAfterSeconds: 1 },
  'internal error': { effect: 'Never', answer: internal },
  unavailable: { effect: 'Never', answer: unavailable },
  'etcd timeout': { effect: 'Perhaps', answer: timeout },
  'watch refused': { effect: 'Never', answer: expired },
} as const satisfies Partial<Record<ApiFault, RequestFault>>;

export type RequestFaultName = keyof typeof requestFaults;

/** At most one of them befalls a request. */
export const faultsOfExchange = [
  'request lost',
  'request late',
  'request unanswered',
  'answer lost',
  'unauthorized',
  'too many requests',
  'internal error',
  'unavailable',
  'etcd timeout',
] as const satisfies readonly RequestFaultName[];

export const faultsOfWatch = [...faultsOfExchange, 'watch refused'] as const;
