// Seeds the guest's random pool (hcs-runtime D.1). The guest connects once, early in its boot, and reads until the
// stream ends. A stream that is accepted and never ended would hang the boot, so the stream is ended in every case.
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { GuestListener } from '../node/guest-sockets.ts';

export const entropyBytes = 512;

/** Cryptographically random bytes, such as `crypto.randomBytes` returns. */
export type RandomBytes = (size: number) => Uint8Array;

/**
 * Serves one guest and closes the listener once the guest has connected. Rejects if the guest did not get its bytes.
 * Aborting ends this at any point.
 */
export async function serveEntropy(
  listener: GuestListener,
  randomBytes: RandomBytes,
  signal: AbortSignal,
): Promise<void> {
  const stream = await acceptFirst(listener, signal);
  let closed: Promise<void> | undefined;
  try {
    // The guest's own data is ignored, but unread bytes would delay the end of the stream.
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
