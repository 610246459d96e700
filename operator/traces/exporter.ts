// Sends spans to a collector, in batches. Spans wait in a bounded queue; what does not fit, or what a collector does not
// take, is dropped and counted. Nothing else waits for it.
import { type Clock, delay, type Random, type RandomUUID, timeoutSignal } from '../../runtime/clock.ts';
import { encodeRequest, encodeTree, type Origin, rejectedSpans } from './otlp.ts';
import type { Span } from './span.ts';

export interface CollectorAnswer {
  readonly status: number;
  /** At most some KiB. */
  readonly text: string;
}

export interface Collector {
  /** Rejects when there is no answer. */
  post(body: string, signal: AbortSignal): Promise<CollectorAnswer>;
  close(): Promise<void>;
}

export type WhyDropped = 'overflow' | 'refused' | 'unreachable';

export interface TraceObserver {
  exported(trees: number): void;
  dropped(trees: number, why: WhyDropped, error?: string): void;
}

export interface ExporterOptions extends Origin {
  readonly collector: Collector;
  readonly observer: TraceObserver;
  readonly clock: Clock;
  readonly random: Random;
  readonly randomUUID: RandomUUID;
}

export const traceBounds = {
  /** Characters of all trees that wait. */
  queue: 4 << 20,
  /** Of one request, unless a single tree is longer. */
  request: 256 << 10,
  /** A new tree waits so many milliseconds for others. */
  gather: 5_000,
  /** Milliseconds for one request. */
  answer: 10_000,
  attempts: 8,
  firstPause: 1_000,
  lastPause: 60_000,
  /** Milliseconds that the end of the program waits. */
  end: 3_000,
} as const;

interface Queued {
  readonly text: string;
}

export class TraceExporter {
  readonly #options: ExporterOptions;
  readonly #waiting: Queued[] = [];
  readonly #end = new AbortController();
  /** No request goes on: the program cannot wait any longer. */
  readonly #cut = new AbortController();
  #size = 0;
  #sending: Promise<void> | undefined;

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  add(tree: Span): void {
    const { observer, randomUUID } = this.#options;
    const text = encodeTree(tree, randomUUID);
    if (this.#end.signal.aborted || this.#size + text.length > traceBounds.queue) {
      observer.dropped(1, 'overflow');
      return;
    }
    this.#waiting.push({ text });
    this.#size += text.length;
    this.#sending ??= this.#send();
  }

  /** Tries once more to send what waits, within a bound for all of it. */
  async close(): Promise<void> {
    this.#end.abort();
    const limit = this.#options.clock.after(traceBounds.end, () => this.#cut.abort());
    await this.#sending;
    limit.cancel();
    await this.#options.collector.close();
  }

  async #send(): Promise<void> {
    const { clock } = this.#options;
    await delay(clock, traceBounds.gather, this.#end.signal).catch(() => undefined);
    while (this.#waiting.length > 0) await this.#sendBatch(this.#takeBatch());
    // In the same step as the last look at the queue: what is added next begins to send again.
    this.#sending = undefined;
  }

  #takeBatch(): readonly string[] {
    let length = 0;
    const count = this.#waiting.findIndex(({ text }, index) => {
      length += text.length;
      return index > 0 && length > traceBounds.request;
    });
    const batch = this.#waiting.splice(0, count < 0 ? this.#waiting.length : count).map(({ text }) => text);
    this.#size -= batch.reduce((sum, text) => sum + text.length, 0);
    return batch;
  }

  async #sendBatch(trees: readonly string[]): Promise<void> {
    const { clock, observer, random } = this.#options;
    const body = encodeRequest(trees, this.#options);
    let problem = '';
    for (let attempt = 1; attempt <= traceBounds.attempts; attempt += 1) {
      const isLast = this.#end.signal.aborted;
      const answer = await this.#post(body).catch((error: unknown) => String(error));
      if (typeof answer !== 'string' && !isPassing(answer.status)) {
        this.#settle(trees.length, answer);
        return;
      }
      problem = typeof answer === 'string' ? answer : `HTTP ${answer.status}`;
      if (isLast) break;
      const pause = Math.min(traceBounds.lastPause, traceBounds.firstPause * 2 ** (attempt - 1));
      await delay(clock, pause * (0.5 + random() / 2), this.#end.signal).catch(() => undefined);
    }
    observer.dropped(trees.length, 'unreachable', problem);
  }

  #post(body: string): Promise<CollectorAnswer> {
    const { clock, collector } = this.#options;
    return collector.post(body, AbortSignal.any([timeoutSignal(clock, traceBounds.answer), this.#cut.signal]));
  }

  #settle(trees: number, { status, text }: CollectorAnswer): void {
    const { observer } = this.#options;
    if (status < 200 || status > 299) {
      observer.dropped(trees, 'refused', `HTTP ${status}: ${text}`);
      return;
    }
    const rejected = rejectedSpans(text);
    if (rejected > 0) observer.dropped(Math.min(trees, rejected), 'refused', text);
    else observer.exported(trees);
  }
}

/** The codes after which OTLP allows another attempt. */
function isPassing(status: number): boolean {
  return [429, 502, 503, 504].includes(status);
}
