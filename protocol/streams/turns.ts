// Whose turn it is to send among the streams of a session: one message each in turn, and all together no more than a bound
// on the way. So a control message waits behind no more than that, and a stream that is read slowly holds up no other.
import { streamLimits } from './messages.ts';

export interface StreamProducer {
  /** Sends at most so many bytes; how many. 0: it has nothing just now, or no credit, and says when it has. */
  produce(room: number): number;
}

export class StreamTurns {
  readonly #ready = new Set<StreamProducer>();
  #onTheWay = 0;
  #isRunning = false;

  /** Sent and not told as arrived. */
  get onTheWay(): number {
    return this.#onTheWay;
  }

  /** It may have something to send. */
  want(producer: StreamProducer): void {
    this.#ready.add(producer);
    this.#run();
  }

  leave(producer: StreamProducer): void {
    this.#ready.delete(producer);
  }

  /** The other side says that so much arrived. */
  arrived(bytes: number): void {
    this.#onTheWay = Math.max(0, this.#onTheWay - bytes);
    this.#run();
  }

  #run(): void {
    // A producer that is done may ask for its next turn while it has this one.
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (const producer of this.#ready) {
      if (this.#onTheWay >= streamLimits.onTheWayBytes) break;
      this.#ready.delete(producer);
      const bytes = producer.produce(streamLimits.chunkBytes);
      if (bytes === 0) continue;
      this.#onTheWay += costOf(bytes);
      // Behind all others: a set is iterated in the order of insertion, also over what is added meanwhile.
      this.#ready.add(producer);
    }
    this.#isRunning = false;
  }
}

/** Of a message with so many bytes of data. */
export function costOf(bytes: number): number {
  return bytes + streamLimits.messageBytes;
}
