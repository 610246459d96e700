// Bounds the streams of each namespace, on one host and on all hosts together, so that no namespace takes the last
// ones. A namespace gets another stream only while it has fewer than are free: alone it may have half, and each further
// namespace still finds some.
import { streamLimits } from '../../protocol/streams/messages.ts';

/** Most streams over all sessions. */
export const maximumStreams = 1024;

export type StreamShare = { readonly of: 'all' | 'host' | 'user' } | { readonly release: () => void };

export interface ShareBounds {
  readonly all: number;
  readonly perHost: number;
}

export class StreamShares {
  readonly #perHost: number;
  readonly #all: Tally;
  readonly #hosts = new Map<string, Tally>();

  constructor({ all, perHost }: ShareBounds = { all: maximumStreams, perHost: streamLimits.perSession }) {
    this.#all = new Tally(all);
    this.#perHost = perHost;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Without `release` when the namespace has used up its share of the host's or of all streams. */
  take(namespace: string, nodeName: string): StreamShare {
    const host = this.#hosts.get(nodeName) ?? new Tally(this.#perHost);
    if (!this.#all.hasRoomFor(namespace)) return { of: 'all' };
    if (!host.hasRoomFor(namespace)) return { of: 'host' };
    this.#hosts.set(nodeName, host);
    for (const tally of [this.#all, host]) tally.change(namespace, 1);
    return {
      release: () => {
        for (const tally of [this.#all, host]) tally.change(namespace, -1);
        if (host.size === 0 && this.#hosts.get(nodeName) === host) this.#hosts.delete(nodeName);
      },
    };
  }
}

class Tally {
  readonly #most: number;
  readonly #ofNamespace = new Map<string, number>();
  #size = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#size;
  }

  hasRoomFor(namespace: string): boolean {
    return (this.#ofNamespace.get(namespace) ?? 0) < this.#most - this.#size;
  }

  change(namespace: string, by: 1 | -1): void {
    const now = (this.#ofNamespace.get(namespace) ?? 0) + by;
    if (now > 0) this.#ofNamespace.set(namespace, now);
    else this.#ofNamespace.delete(namespace);
    this.#size += by;
  }
}
