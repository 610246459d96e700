// Seeds the guest's random pool (hcs-runtime D.1): the guest dials once, early in its boot, and reads until the stream
// ends. A host that accepts and never ends the stream hangs the boot, so the stream is ended whatever happens.
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { GuestListener } from '../node/guest-sockets.ts';

export const entropyBytes = 512;

/** Cryptographically random bytes, as `crypto.randomBytes` gives them. */
export type RandomBytes = (size: number) => Uint8Array;

/**
 * Serves one guest and closes the listener once it has dialled; a guest that did not get its bytes rejects.
 * Aborting gives up in whichever state it is.
 */
export async function serveEntropy(
  listener: GuestListener,
  randomBytes: RandomBytes,
  signal: AbortSignal,
): Promise<void> {
  const stream = await acceptFirst(listener, signal);
  let closed: Promise<void> | undefined;
  try {
    // What the guest sends is nothing to us, but unread bytes would hold back the end of the stream.
    stream.resume();
    stream.end(randomBytes(entropyBytes));
    closed = listener.close();
    await finished(stream, { readable: false, signal });
  } finally {
    stream.destroy();
    await (closed ?? listener.close());
  }
}

async function acceptFirst(listener: GuestListener, signal: AbortSignal): Promise<Duplex> {
  try {
    return await listener.accept(signal);
  } catch (error) {
    await listener.close();
    throw error;
  }
}
