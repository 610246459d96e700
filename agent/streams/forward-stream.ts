// Serves one connection from a user to a port of the guest: bytes in both directions, at the speed of the slower side.
// Each direction ends separately. The connection ends with its user, with its guest or with the run of the VM.
import type { Duplex, Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { messageOf } from '../../runtime/error-text.ts';
import type { GuestAccess } from '../vm/guest-access.ts';
import { StreamFailure } from '../vm/stream-failure.ts';
import type { StreamOutcome } from './stream-outcome.ts';

/** The stream's channels (`MultiplexedStream`). */
export interface ForwardChannels {
  incoming(channel: 'stdin'): Readable;
  outgoing(channel: 'stdout'): Writable;
}

export interface ForwardPorts {
  readonly access: Pick<GuestAccess, 'connect'>;
  readonly stream: ForwardChannels;
  readonly opened: () => void;
  readonly signal: AbortSignal;
}

export async function serveForward(
  { port }: { readonly port: number },
  { access, opened, signal, stream }: ForwardPorts,
): Promise<StreamOutcome> {
  const { connection, over } = await access.connect(port, signal);
  const output = stream.outgoing('stdout');
  const failure = endOf(connection);
  const cut = () => connection.destroy();
  const left = AbortSignal.any([signal, over]);
  left.addEventListener('abort', cut, { once: true });
  if (left.aborted) cut();
  opened();
  stream.incoming('stdin').pipe(connection).pipe(output);
  const error = await failure;
  left.removeEventListener('abort', cut);
  if (signal.aborted) return {};
  if (over.aborted) throw new StreamFailure('NotRunning', 'the VM has ended');
  if (error !== undefined) throw new StreamFailure('ConnectionLost', messageOf(error));
  if (!connection.readableEnded) throw new StreamFailure('ConnectionLost', 'the connection was closed');
  await finished(output).catch(() => undefined);
  return {};
}

/** Resolves once both directions have ended, with the error that ended them, if any. */
function endOf(connection: Duplex): Promise<Error | undefined> {
  return new Promise((resolve) => {
    connection.once('error', resolve);
    connection.once('close', () => resolve(undefined));
    if (connection.closed) resolve(connection.errored ?? undefined);
  });
}
