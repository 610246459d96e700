// Bounds the forwarded connections: of each namespace as all streams, and of each user over all namespaces.
import { forwardLimits } from '../../protocol/streams/messages.ts';
import { type StreamShare, StreamShares } from './stream-shares.ts';

/** Most forwarded connections over all sessions. */
export const maximumForwards = 512;

export class ForwardShares {
  readonly #shares = new StreamShares({ all: maximumForwards, perHost: forwardLimits.perSession });
  readonly #ofUser = new Map<string, number>();

  take(namespace: string, nodeName: string, username: string): StreamShare {
    if ((this.#ofUser.get(username) ?? 0) >= forwardLimits.perUser) return { of: 'user' };
    const share = this.#shares.take(namespace, nodeName);
    if (!('release' in share)) return share;
    this.#change(username, 1);
    return {
      release: () => {
        share.release();
        this.#change(username, -1);
      },
    };
  }

  #change(username: string, by: 1 | -1): void {
    const now = (this.#ofUser.get(username) ?? 0) + by;
    if (now > 0) this.#ofUser.set(username, now);
    else this.#ofUser.delete(username);
  }
}
