// Whose turn it is among the streams of a session. Each sends one message in turn, and all together have at most a
// bounded amount on the way. So a control message waits behind no more than that, and a slow reader of one stream holds
// up no other.
import { streamLimits } from './messages.ts';

export interface StreamProducer {
  /**
   * Sends at most `room` bytes and returns how many. 0: the producer has nothing to send or no credit, and calls `want`
   * when it has.
   */
  produce(room: number): number;
}

export class StreamTurns {
  readonly #ready = new Set<StreamProducer>();
  #onTheWay = 0;
  #isRunning = false;

  /** Bytes sent whose receipt has not come yet. */
  get onTheWay(): number {
    return this.#onTheWay;
  }

  /** The producer may have something to send. */
  want(producer: StreamProducer): void {
    this.#ready.add(producer);
    this.#run();
  }

  leave(producer: StreamProducer): void {
    this.#ready.delete(producer);
  }

  /** The other side received this many bytes. */
  arrived(bytes: number): void {
    this.#onTheWay = Math.max(0, this.#onTheWay - bytes);
    this.#run();
  }

  #run(): void {
    // A producer that finishes may ask for its next turn during this one.
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (const producer of this.#ready) {
      if (this.#onTheWay >= streamLimits.onTheWayBytes) break;
      this.#ready.delete(producer);
      const bytes = producer.produce(streamLimits.chunkBytes);
      if (bytes === 0) continue;
      this.#onTheWay += costOf(bytes);
      // Behind all others: a set iterates in insertion order, including members that are added during the iteration.
      this.#ready.add(producer);
    }
    this.#isRunning = false;
  }
}

/** What a message with this many bytes of data counts for. */
export function costOf(bytes: number): number {
  return bytes + streamLimits.messageBytes;
}
