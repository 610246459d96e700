// The part of tar-stream that the plugin uses.
declare module 'tar-stream' {
  import type { Readable, Writable } from 'node:stream';

  export interface Header {
    readonly name: string;
    readonly type?: string | null | undefined;
    readonly mode?: number | undefined;
    readonly mtime?: Date | undefined;
    readonly size?: number | undefined;
    readonly linkname?: string | null | undefined;
    readonly uid?: number | undefined;
    readonly gid?: number | undefined;
  }

  export interface Pack extends Readable {
    entry(header: Header, content: string | Buffer): void;
    entry(header: Header, done: (error?: Error | null) => void): Writable;
    finalize(): void;
  }
  export function pack(): Pack;

  export interface Entry extends Readable {
    readonly header: Header;
  }
  export interface Extract extends Writable, AsyncIterable<Entry> {
    [Symbol.asyncIterator](): AsyncIterableIterator<Entry>;
  }
  export function extract(): Extract;
}
