// The lines of an answer that continues, in the order in which they arrive.

export class LineQueue implements AsyncIterable<string> {
  readonly #lines: string[] = [];
  readonly #onClose: () => void;
  #end: { readonly error?: Error } | undefined;
  #reader: PromiseWithResolvers<IteratorResult<string>> | undefined;

  /** `onClose` is called when the reader wants no more lines. */
  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  push(line: string): void {
    if (this.#end !== undefined) return;
    if (this.#reader === undefined) this.#lines.push(line);
    else this.#settle(({ resolve }) => resolve({ value: line, done: false }));
  }

  /** Ends after the lines that have arrived, with an error or without. */
  end(error?: Error): void {
    if (this.#end !== undefined) return;
    this.#end = error === undefined ? {} : { error };
    if (error !== undefined) this.#settle(({ reject }) => reject(error));
    else this.#settle(({ resolve }) => resolve(done));
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return {
      next: () => this.#next(),
      return: () => {
        this.#onClose();
        return Promise.resolve(done);
      },
    };
  }

  #next(): Promise<IteratorResult<string>> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve({ value: line, done: false });
    if (this.#end?.error !== undefined) return Promise.reject(this.#end.error);
    if (this.#end !== undefined) return Promise.resolve(done);
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  #settle(settle: (reader: PromiseWithResolvers<IteratorResult<string>>) => void): void {
    const reader = this.#reader;
    this.#reader = undefined;
    if (reader !== undefined) settle(reader);
  }
}

const done: IteratorResult<string> = { value: undefined, done: true };
