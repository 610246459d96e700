// The agent's end of the streams of one session (design §7). The operator opens a stream; the agent serves it until it
// ends or its user disconnects, and closes it with its outcome. The closing message is sent after the data, in the same
// queue.
import type { Logger } from 'pino';
import { decodeStreamFrame } from '../../protocol/streams/frames.ts';
import {
  type AgentStreamMessage,
  boundsOf,
  hasTooMany,
  type OperatorStreamMessage,
  type StreamChannel,
  type StreamClosed,
  type StreamOpening,
} from '../../protocol/streams/messages.ts';
import { type MultiplexedStream, StreamMultiplexer } from '../../protocol/streams/multiplexer.ts';
import type { MachineUsage } from '../../protocol/subresources.ts';
import { beginning } from '../../runtime/beginning.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { UsageReader } from '../metrics/usage.ts';
import type { GuestAccess } from '../vm/guest-access.ts';
import { StreamFailure } from '../vm/stream-failure.ts';
import type { Supervisor } from '../vm/supervisor.ts';
import { type ByteStreamPorts, serveBytes } from './byte-stream.ts';
import { serveExec } from './exec-stream.ts';
import { serveForward } from './forward-stream.ts';
import type { StreamOutcome } from './stream-outcome.ts';

export interface StreamServerPorts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly supervisor: Pick<Supervisor, 'loggerOf' | 'machine'>;
  /** Sends ahead of all data. */
  readonly send: (message: AgentStreamMessage) => void;
  /** Sends within the budget of streams. */
  readonly sendData: (message: AgentStreamMessage | Buffer) => void;
  /** Whether the operator accepts data as binary frames. */
  readonly sendsBinary: () => boolean;
  readonly consoles: ConsoleReaders;
  readonly usage: Pick<UsageReader, 'readOne'>;
}

/** The consoles of all VMs. A pipe has one reader at a time, over all sessions. */
export interface ConsoleReaders {
  read(pipe: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

interface Served {
  readonly uid: string;
  readonly type: StreamOpening['type'];
  readonly over: AbortController;
}

export class StreamServer {
  readonly #ports: StreamServerPorts;
  readonly #multiplexer: StreamMultiplexer;
  readonly #served = new Map<number, Served>();

  constructor(ports: StreamServerPorts) {
    this.#ports = ports;
    this.#multiplexer = new StreamMultiplexer(ports);
  }

  /** Number of open streams. */
  get size(): number {
    return this.#served.size;
  }

  open(opening: StreamOpening): void {
    const { stream: id, type, uid, window } = opening;
    if (this.#served.has(id)) return;
    const over = new AbortController();
    const refusal = this.#refusal(opening);
    const outgoing: StreamChannel[] = type === 'exec' ? ['stdout', 'stderr'] : ['stdout'];
    const { windowBytes } = boundsOf(type);
    const waitingBytes = type === 'portForward' ? windowBytes : undefined;
    const stream = this.#multiplexer.open(id, { incoming: ['stdin'], outgoing, window: windowBytes, waitingBytes });
    stream.grantAll(window);
    this.#served.set(id, { uid, type, over });
    const serving = refusal === undefined ? this.#serve(opening, stream, over.signal) : Promise.reject(refusal);
    serving
      .then(
        (outcome): StreamClosed => ({ type: 'streamClosed', stream: id, ...outcome }),
        (error: unknown): StreamClosed => this.#failed(opening, error),
      )
      .then((closed) => {
        if (!over.signal.aborted) this.#ports.sendData(closed);
        this.#served.delete(id);
        stream.abandon();
      });
  }

  receive(message: Exclude<OperatorStreamMessage, StreamOpening>): void {
    if (message.type === 'streamClose') {
      this.#served.get(message.stream)?.over.abort();
      return;
    }
    this.#breakOff(this.#multiplexer.receive(message));
  }

  /** False when the frame is not stream data. */
  receiveBinary(frame: Buffer): boolean {
    const data = decodeStreamFrame(frame);
    if (data !== undefined) this.#breakOff(this.#multiplexer.receiveBytes(data));
    return data !== undefined;
  }

  #breakOff(broken: MultiplexedStream | undefined): void {
    if (broken === undefined) return;
    this.#ports.logger.error({ stream: broken.id }, 'the operator exceeded the window of a stream');
    this.#served.get(broken.id)?.over.abort();
  }

  /** The VM and everything about it is gone. */
  forget(uid: string): void {
    for (const [stream, served] of this.#served) {
      if (served.uid !== uid) continue;
      this.#ports.sendData({
        type: 'streamClosed',
        stream,
        problem: 'NoSuchVirtualMachine',
        message: 'the VM is gone',
      });
      served.over.abort();
    }
  }

  /** The session is over, and with it all readers. */
  end(): void {
    for (const { over } of this.#served.values()) over.abort();
  }

  #refusal(opening: StreamOpening): StreamFailure | undefined {
    if (!hasTooMany(this.#served.values(), opening)) return undefined;
    const { perSession, perVirtualMachine } = boundsOf(opening.type);
    return opening.type === 'portForward'
      ? new StreamFailure(
          'TooManyConnections',
          `at most ${perVirtualMachine} connections to a VM and ${perSession} to a host are forwarded`,
        )
      : new StreamFailure(
          'TooManyStreams',
          `at most ${perVirtualMachine} streams of a VM and ${perSession} of a host are served`,
        );
  }

  async #serve(opening: StreamOpening, stream: MultiplexedStream, signal: AbortSignal): Promise<StreamOutcome> {
    const access = this.#ports.supervisor.machine(opening.uid)?.access;
    if (access === undefined) {
      throw new StreamFailure('NoSuchVirtualMachine', 'the agent of the host does not know this VM');
    }
    const opened = (processID?: number) =>
      this.#ports.send({
        type: 'streamOpened',
        stream: stream.id,
        window: boundsOf(opening.type).windowBytes,
        ...(processID !== undefined && { processID }),
      });
    switch (opening.type) {
      case 'exec':
        return await serveExec(opening, { access, clock: this.#ports.clock, stream, opened, signal });
      case 'logFollow':
        return await serveBytes(access.readLog(opening, signal), { stream, opened, signal });
      case 'console':
        return await this.#serveConsole(access, { stream, opened, signal });
      case 'document':
        return await serveBytes([Buffer.from(await access.readDocument())], { stream, opened, signal });
      case 'stacks':
        return await serveBytes([Buffer.from(await access.readStacks(signal))], { stream, opened, signal });
      case 'portForward':
        return await serveForward(opening, { access, stream, opened, signal });
      case 'usage':
        return await serveBytes([await this.#usageOf(opening.uid, access)], { stream, opened, signal });
    }
  }

  /**
   * Ends when the pipe no longer belongs to this VM: a reader that keeps using its name would read the next VM's
   * console.
   */
  async #serveConsole(access: GuestAccess, ports: ByteStreamPorts): Promise<StreamOutcome> {
    const { pipe, signal: isOurs } = access.console;
    const signal = AbortSignal.any([ports.signal, isOurs]);
    return await serveBytes(this.#ports.consoles.read(pipe, signal), { ...ports, signal });
  }

  async #usageOf(uid: string, access: GuestAccess): Promise<Buffer> {
    const { supervisor, usage } = this.#ports;
    const machine = supervisor.machine(uid);
    if (machine?.state !== 'Running') throw new StreamFailure('NotRunning', 'the VM does not run');
    const measured = await usage.readOne(uid, machine);
    if (measured === undefined) throw new StreamFailure('Failed', 'the host did not measure the VM in time');
    const answer: MachineUsage = { time: measured.at, ...measured.statistics, log: access.logPosition };
    return Buffer.from(JSON.stringify(answer));
  }

  #failed(opening: StreamOpening, error: unknown): StreamClosed {
    const { stream, type } = opening;
    const problem = error instanceof StreamFailure ? error.problem : 'Failed';
    const message = beginning(messageOf(error), 2048);
    this.#ports.supervisor.loggerOf(opening).info({ type, problem, error: message }, 'a stream ended with a problem');
    return { type: 'streamClosed', stream, problem, message };
  }
}
