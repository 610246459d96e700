// Processes that run in the VM outside of any container (hcs-runtime E.6): their standard streams, each on its own
// port, and their exit codes. A process outlives the connection over which it was started. After the guest reconnects,
// its answer to an earlier wait may arrive over the new connection with the old id, or be lost (E.7). So all ids with
// which a process is waited for are kept, and each new connection repeats the wait.
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../runtime/clock.ts';
import { fixedTimes } from '../../bounds/timeouts.ts';
import type { GuestListener } from '../../node/guest-sockets.ts';
import type { GuestBridge } from './bridge.ts';
import { GuestProtocolError, GuestRefusal } from './errors.ts';
import { responseBase, waitResponse } from './messages.ts';
import type { GuestCommand, StdioPorts } from './process-request.ts';

/** The first port for standard streams. No port is used twice for one VM. */
export const firstStdioPort = 0x4000_0001;
/** Most processes at a time. */
export const maxProcesses = 64;

const noSuchProcess = 0x8007_0490;

export interface StdioWanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** False with a terminal, where all output is on stdout. */
  readonly stderr: boolean;
  /** The process also runs without streams, as where a policy does not let it have them. */
  readonly isOptional?: boolean;
}

export interface GuestProcess {
  readonly id: number;
  /** Ending this stream ends the process's input. */
  readonly stdin: Duplex | undefined;
  /** The reader destroys this stream once it has read to its end. */
  readonly stdout: Duplex | undefined;
  readonly stderr: Duplex | undefined;
  /** 4294967295 when a signal killed the process. Rejects when the guest ends first, or when its answer was lost. */
  readonly exitCode: Promise<number>;
}

export interface GuestProcessesOptions {
  readonly clock: Clock;
  readonly listen: (port: number) => Promise<GuestListener>;
  readonly firstPort?: number;
  /** Receives the next port number before the current port is used, so that the number can be stored. */
  readonly onNextPort?: (port: number) => void;
}

interface Waited {
  readonly processId: number;
  /** The ids of all wait requests for this process, on any connection. */
  readonly requests: Set<bigint>;
  readonly exitCode: Promise<number>;
  readonly settle: (outcome: { readonly exitCode: number } | { readonly error: Error }) => void;
}

export class GuestProcesses {
  readonly #options: GuestProcessesOptions;
  readonly #waited = new Set<Waited>();
  #nextPort: number;
  #starting = 0;
  #bridge: GuestBridge | undefined;

  constructor(options: GuestProcessesOptions) {
    this.#options = options;
    this.#nextPort = options.firstPort ?? firstStdioPort;
  }

  get running(): number {
    return this.#waited.size;
  }

  get ids(): readonly number[] {
    return [...this.#waited].map(({ processId }) => processId);
  }

  /** Resolves when each of these processes has ended or its exit code is known to be lost. */
  async ended(ids: readonly number[]): Promise<void> {
    const waited = [...this.#waited].filter(({ processId }) => ids.includes(processId));
    await Promise.allSettled(waited.map(({ exitCode }) => exitCode));
  }

  /** A new connection to the guest was negotiated. */
  connected(bridge: GuestBridge): void {
    this.#bridge = bridge;
    for (const waited of this.#waited) this.#ask(bridge, waited);
  }

  disconnected(): void {
    this.#bridge = undefined;
  }

  /** A port that nothing else of this VM uses. */
  reservePort(): number {
    const port = this.#nextPort;
    this.#nextPort += 1;
    this.#options.onNextPort?.(this.#nextPort);
    return port;
  }

  listen(port: number): Promise<GuestListener> {
    return this.#options.listen(port);
  }

  /**
   * The exit code of a process that an earlier connection has started, or an earlier agent. The guest is asked as soon
   * as it is connected. Rejects when the guest does not know the process (any more), and when the VM ends.
   */
  exitOf(processId: number): Promise<number> {
    const waited = this.#newWait(processId);
    if (this.#bridge !== undefined) this.#ask(this.#bridge, waited);
    return waited.exitCode;
  }

  /** The VM is gone, together with its processes. */
  end(): void {
    this.#bridge = undefined;
    for (const { settle } of this.#waited) settle({ error: new GuestProtocolError('the VM ended') });
    this.#waited.clear();
  }

  /** Handles an answer to a request of an earlier connection. */
  lateAnswer(id: bigint, body: unknown): void {
    const waited = [...this.#waited].find(({ requests }) => requests.has(id));
    if (waited === undefined) return;
    const base = responseBase.safeParse(body);
    const answer = waitResponse.safeParse(body);
    if (base.success && base.data.Result === 0 && answer.success)
      this.#settle(waited, { exitCode: answer.data.ExitCode });
  }

  /** Resolves once the process runs and its streams are connected. */
  async execute(command: GuestCommand, wanted: StdioWanted, signal: AbortSignal): Promise<GuestProcess> {
    const bridge = this.#bridge;
    if (bridge === undefined) throw new GuestProtocolError('the guest is not connected');
    if (this.#starting + this.#waited.size >= maxProcesses) {
      throw new GuestProtocolError(`${maxProcesses} processes of this host run in the VM already`);
    }
    this.#starting += 1;
    const stdio = new Stdio();
    try {
      await stdio.open(wanted, () => this.#listen());
      const streams = stdio.accept(signal);
      const id = await bridge.execute(command, stdio.ports);
      // The wait is sent before anything can fail: the guest never forgets a process that nobody waits for.
      const exitCode = this.#waitFor(bridge, id);
      const connected = this.#inTime(streams);
      if (wanted.isOptional !== true) return { id, ...(await connected), exitCode };
      return { id, ...(await connected.catch(() => stdio.giveUp())), exitCode };
    } catch (error) {
      stdio.abandon();
      throw error;
    } finally {
      this.#starting -= 1;
      await stdio.closeListeners();
    }
  }

  async #inTime<T>(streams: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = this.#options.clock.after(fixedTimes.guest.processStreams, () => {
      reject(new GuestProtocolError('the guest started the process but did not connect its streams'));
    });
    return await Promise.race([streams, promise]).finally(() => timer.cancel());
  }

  async #listen(): Promise<{ readonly port: number; readonly listener: GuestListener }> {
    const port = this.reservePort();
    return { port, listener: await this.listen(port) };
  }

  #waitFor(bridge: GuestBridge, processId: number): Promise<number> {
    const waited = this.#newWait(processId);
    this.#ask(bridge, waited);
    return waited.exitCode;
  }

  #newWait(processId: number): Waited {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    // The VM may end while nobody waits for the exit code.
    promise.catch(() => undefined);
    const waited: Waited = {
      processId,
      requests: new Set(),
      exitCode: promise,
      settle: (outcome) => ('error' in outcome ? reject(outcome.error) : resolve(outcome.exitCode)),
    };
    this.#waited.add(waited);
    return waited;
  }

  #ask(bridge: GuestBridge, waited: Waited): void {
    const isFirst = waited.requests.size === 0;
    const { id, exitCode } = bridge.wait(waited.processId);
    waited.requests.add(id);
    exitCode.then(
      (code) => this.#settle(waited, { exitCode: code }),
      (error: unknown) => {
        // The end of a connection says nothing about the process; the next connection repeats the wait.
        if (error instanceof GuestRefusal) this.#settle(waited, { error: isFirst ? error : lostOrRefused(error) });
      },
    );
  }

  #settle(waited: Waited, outcome: Parameters<Waited['settle']>[0]): void {
    if (this.#waited.delete(waited)) waited.settle(outcome);
  }
}

/**
 * A guest forgets a process once it has answered a wait, and the connection may have ended before that answer arrived.
 */
function lostOrRefused(refusal: GuestRefusal): Error {
  if (refusal.hresult !== noSuchProcess) return refusal;
  return new GuestProtocolError('the process has ended; its exit code was lost with the connection');
}

const streamNames = ['stdin', 'stdout', 'stderr'] as const;
type StreamName = (typeof streamNames)[number];

/**
 * The sockets of one process, in the order in which the guest connects. They listen before the process is requested.
 */
class Stdio {
  readonly #listeners = new Map<StreamName, GuestListener>();
  readonly #ports = new Map<StreamName, number>();
  readonly #streams = new Map<StreamName, Duplex>();
  #isAbandoned = false;

  get ports(): StdioPorts {
    return Object.fromEntries(this.#ports);
  }

  async open(
    wanted: StdioWanted,
    listen: () => Promise<{ readonly port: number; readonly listener: GuestListener }>,
  ): Promise<void> {
    for (const name of streamNames.filter((each) => wanted[each])) {
      const { port, listener } = await listen();
      this.#ports.set(name, port);
      this.#listeners.set(name, listener);
    }
  }

  /** Call this before the request: the guest connects before it answers. */
  accept(signal: AbortSignal): Promise<Pick<GuestProcess, StreamName>> {
    const accepted = Promise.all(
      [...this.#listeners].map(([name, listener]) => this.#acceptOne(name, listener, signal)),
    );
    const streams = accepted.then(() => ({
      stdin: this.#streams.get('stdin'),
      stdout: this.#streams.get('stdout'),
      stderr: this.#streams.get('stderr'),
    }));
    // The caller looks at this promise only after the guest has started the process.
    streams.catch(() => undefined);
    return streams;
  }

  giveUp(): Pick<GuestProcess, StreamName> {
    this.abandon();
    return { stdin: undefined, stdout: undefined, stderr: undefined };
  }

  abandon(): void {
    this.#isAbandoned = true;
    for (const stream of this.#streams.values()) stream.destroy();
  }

  async closeListeners(): Promise<void> {
    await Promise.all([...this.#listeners.values()].map((listener) => listener.close()));
  }

  async #acceptOne(name: StreamName, listener: GuestListener, signal: AbortSignal): Promise<void> {
    const stream = await listener.accept(signal);
    // A guest connects to each port once. `close` waits for all listeners.
    listener.close().catch(() => undefined);
    // The user of the stream sees its end. An error without a listener would end the agent.
    stream.on('error', () => undefined);
    if (this.#isAbandoned) stream.destroy();
    else this.#streams.set(name, stream);
  }
}
