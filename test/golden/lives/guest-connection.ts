// One connection of a guest to its host, as the stand-in of ws2_32.dll has it.
import { FrameReader } from '../../../agent/guest/bridge/frames.ts';

/** What the host sends over the bridge, by type. */
export const frameNames: ReadonlyMap<number, string> = new Map([
  [0x1010_0301, 'ShutdownGraceful'],
  [0x1010_0401, 'ShutdownForced'],
  [0x1010_0501, 'ExecuteProcess'],
  [0x1010_0601, 'WaitForProcess'],
  [0x1010_0701, 'SignalProcess'],
  [0x1010_0801, 'ResizeConsole'],
  [0x1010_0901, 'GetProperties'],
  [0x1010_0a01, 'ModifySettings'],
  [0x1010_0b01, 'NegotiateProtocol'],
  [0x1010_0c01, 'DumpStacks'],
]);

export class GuestConnection {
  readonly port: number;
  /** What the host has not read yet. */
  readonly toHost: Buffer[] = [];
  /** What the host has sent, but over the bridge. */
  readonly sent: Buffer[] = [];
  readonly frames = new FrameReader(0xffff_ffff);
  /** The guest writes no more. */
  hasEnded = false;
  isReset = false;
  /** What was sent has been noted. */
  isNoted = false;

  constructor(port: number) {
    this.port = port;
  }

  get isReadable(): boolean {
    return this.toHost.length > 0 || this.hasEnded || this.isReset;
  }

  /** How many bytes it took; undefined when there are none. */
  take(into: Uint8Array): number | undefined {
    const [first] = this.toHost;
    if (first === undefined) return undefined;
    const count = Math.min(first.length, into.byteLength);
    into.set(first.subarray(0, count));
    if (count === first.length) this.toHost.shift();
    else this.toHost[0] = first.subarray(count);
    return count;
  }
}
