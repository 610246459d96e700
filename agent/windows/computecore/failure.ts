// HRESULT and result document to a typed error (hcs-runtime A.5, A.6).
import { z } from 'zod';
import { HcsError } from '../../node/hcs-error.ts';

/** HRESULTs that no service answer carries: they are ours to say. */
export const ownResults = {
  /** The handle was closed: a call on it never reaches HCS. */
  invalidHandle: 0x8007_0006,
  /** HCS succeeded with a document that is missing or not what it should be. */
  unexpectedAnswer: 0x8000_ffff,
  procedureNotFound: 0x8007_007f,
} as const;

/** ERROR_VMCOMPUTE_OPERATION_PENDING: accepted, and still under way. */
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

/** What the document says of the failure, if it is one that can be read. */
function detailOf(document: string | undefined): string | undefined {
  const parsed = resultError.safeParse(parseJson(document));
  if (!parsed.success) return undefined;
  const { ErrorMessage, ErrorEvents } = parsed.data;
  const lines = [ErrorMessage, ...ErrorEvents.map(eventText)].filter((line) => line !== '');
  return lines.length > 0 ? lines.join('\n') : undefined;
}

/** The form that users know from hcsshim. */
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

/** Undefined for what is not JSON. */
export function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What Shutdown and Terminate may say when there is nothing left to end (hcs-runtime A.6). */
export function isBenignForEnding(error: unknown): boolean {
  if (!(error instanceof HcsError)) return false;
  return error.isAlreadyStopped || error.isNotFound || error.hresult === operationPending;
}
