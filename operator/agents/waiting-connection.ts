// An agent's open connection until its turn to be accepted. Messages are kept, within bounds; a disconnected agent is
// noticed, so that it takes no turn; and the agent is pinged, so that it knows that the operator lives.
import type { RawData } from 'ws';
import type { Socket } from '../../protocol/socket.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';

/** Larger than most agents' hello. More data waits in the network. */
const keptBytesMaximum = 64 * 1024;

interface Frame {
  readonly data: RawData;
  readonly isBinary: boolean;
}

export class WaitingConnection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #heartbeatMilliseconds: number;
  readonly #frames: Frame[] = [];
  #bytes = 0;
  #heartbeat: Timer | undefined;

  /** Must be created before the socket can have received its first frame. */
  constructor(socket: Socket, clock: Clock, heartbeatSeconds: number) {
    this.#socket = socket;
    this.#clock = clock;
    this.#heartbeatMilliseconds = heartbeatSeconds * 1_000;
    socket.on('message', this.#keep);
    socket.on('error', () => socket.terminate());
    socket.once('close', () => this.#heartbeat?.cancel());
    this.#ping();
  }

  /** The turn has come: listeners of the socket now receive everything that arrived meanwhile. */
  handOver(): void {
    this.#heartbeat?.cancel();
    this.#socket.off('message', this.#keep);
    for (const { data, isBinary } of this.#frames.splice(0)) this.#socket.emit('message', data, isBinary);
    if (this.#bytes > keptBytesMaximum) this.#socket.resume();
  }

  readonly #keep = (data: RawData, isBinary: boolean): void => {
    this.#frames.push({ data, isBinary });
    this.#bytes += bytesOf(data);
    if (this.#bytes > keptBytesMaximum) this.#socket.pause();
  };

  #ping(): void {
    this.#heartbeat = this.#clock.after(this.#heartbeatMilliseconds, () => {
      this.#socket.ping();
      this.#ping();
    });
  }
}

/** An empty frame costs memory, too. */
function bytesOf(data: RawData): number {
  const perFrame = 256;
  if (Array.isArray(data)) return data.reduce((sum, { byteLength }) => sum + byteLength, perFrame);
  return data.byteLength + perFrame;
}
