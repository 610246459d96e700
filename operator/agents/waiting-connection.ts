// An agent's open connection until its turn to be accepted. Messages are kept, within bounds; a disconnected agent is
// noticed, so that it takes no turn; and the agent is pinged, so that it knows that the operator lives.
import type { RawData, WebSocket } from 'ws';
import type { Clock, Timer } from '../../runtime/clock.ts';

/** Larger than most agents' hello. More data waits in the network. */
const keptBytesMaximum = 64 * 1024;

interface Frame {
  readonly data: RawData;
  readonly isBinary: boolean;
}

export class WaitingConnection {
  readonly #webSocket: WebSocket;
  readonly #clock: Clock;
  readonly #heartbeatMilliseconds: number;
  readonly #frames: Frame[] = [];
  #bytes = 0;
  #heartbeat: Timer | undefined;

  /** Must be created before the socket can have received its first frame. */
  constructor(webSocket: WebSocket, clock: Clock, heartbeatSeconds: number) {
    this.#webSocket = webSocket;
    this.#clock = clock;
    this.#heartbeatMilliseconds = heartbeatSeconds * 1_000;
    webSocket.on('message', this.#keep);
    webSocket.on('error', () => webSocket.terminate());
    webSocket.once('close', () => this.#heartbeat?.cancel());
    this.#ping();
  }

  /** The turn has come: listeners of the socket now receive everything that arrived meanwhile. */
  handOver(): void {
    this.#heartbeat?.cancel();
    this.#webSocket.off('message', this.#keep);
    for (const { data, isBinary } of this.#frames.splice(0)) this.#webSocket.emit('message', data, isBinary);
    if (this.#bytes > keptBytesMaximum) this.#webSocket.resume();
  }

  readonly #keep = (data: RawData, isBinary: boolean): void => {
    this.#frames.push({ data, isBinary });
    this.#bytes += bytesOf(data);
    if (this.#bytes > keptBytesMaximum) this.#webSocket.pause();
  };

  #ping(): void {
    this.#heartbeat = this.#clock.after(this.#heartbeatMilliseconds, () => {
      this.#webSocket.ping();
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
