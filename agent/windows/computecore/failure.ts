// Turns an HRESULT and a result document into a typed error (hcs-runtime A.5, A.6).
import { z } from 'zod';
import { HcsError } from '../../node/hcs-error.ts';

/** HRESULTs that the agent itself reports; no answer of the service has them. */
export const ownResults = {
  /** The handle was closed: a call on it never reaches HCS. */
  invalidHandle: 0x8007_0006,
  /** HCS reported success, but the document is missing or malformed. */
  unexpectedAnswer: 0x8000_ffff,
  procedureNotFound: 0x8007_007f,
} as const;

/** ERROR_VMCOMPUTE_OPERATION_PENDING: accepted and still running. */
const operationPending = 0xc037_0103;

export function succeeded(code: number): boolean {
  return code < 0x8000_0000;
}

const errorEvent = z.object({
  Message: z.string().catch(''),
  StackTrace: z.string().catch(''),
  Provider: z.string().catch(''),
  EventId: z.int().catch(0),
  Flags: z.int().catch(0),
  Source: z.string().catch(''),
});
const resultError = z.object({
  ErrorMessage: z.string().catch(''),
  ErrorEvents: z.array(errorEvent).catch([]),
});

export function failure(call: string, code: number, document: string | undefined): HcsError {
  return new HcsError(call, code, detailOf(document));
}

/** The document's description of the failure, if the document can be parsed. */
function detailOf(document: string | undefined): string | undefined {
  const parsed = resultError.safeParse(parseJson(document));
  if (!parsed.success) return undefined;
  const { ErrorMessage, ErrorEvents } = parsed.data;
  const lines = [ErrorMessage, ...ErrorEvents.map(eventText)].filter((line) => line !== '');
  return lines.length > 0 ? lines.join('\n') : undefined;
}

/** The format that users know from hcsshim. */
function eventText(event: z.infer<typeof errorEvent>): string {
  const { Message, StackTrace, Provider, EventId, Flags, Source } = event;
  const parts = [
    Message !== '' && `Event Detail: ${Message}`,
    StackTrace !== '' && `Stack Trace: ${StackTrace}`,
    Provider !== '' && `Provider: ${Provider}`,
    EventId !== 0 && `EventID: ${EventId}`,
    Flags !== 0 && `flags: ${Flags}`,
    Source !== '' && `Source: ${Source}`,
  ].filter((part) => part !== false);
  return parts.length > 0 ? `[${parts.join(' ')}]` : '';
}

/** Undefined for text that is not JSON. */
export function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for errors with which Shutdown and Terminate report that the system has already ended (hcs-runtime A.6). */
export function isBenignForEnding(error: unknown): boolean {
  if (!(error instanceof HcsError)) return false;
  return error.isAlreadyStopped || error.isNotFound || error.hresult === operationPending;
}
