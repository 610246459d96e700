// The sockets of one run of a VM and what is served on them: entropy once, the log and the bridge for as long as the VM
// runs (hcs-runtime B.3, D, E). The listeners on 109 and on the bridge's port stay open while the VM runs, since a
// refused dial kills the guest or leaves it mute (design §8).
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type Clock, delay } from '../protocol/clock.ts';
import type { BootTimings } from '../protocol/messages.ts';
import { bounded } from './bounded.ts';
import { MachineFailure, messageOf } from './failure.ts';
import { GuestBridge } from './guest/bridge.ts';
import { GuestProtocolError, GuestRefusal } from './guest/bridge-errors.ts';
import type { GuestIdentity } from './guest/bridge-messages.ts';
import { type RandomBytes, serveEntropy } from './guest/entropy.ts';
import { LogLimiter, type LogRate } from './guest/log-limiter.ts';
import type { GuestLogRecord } from './guest/log-record.ts';
import { scrubRecord } from './guest/log-scrubber.ts';
import { readGuestLog } from './guest/log-stream.ts';
import { type GuestListener, type GuestSockets, guestPorts } from './guest/sockets.ts';
import type { ComputeSystem, RuntimeId } from './hcs/backend.ts';
import { logLine } from './log-line.ts';
import type { BootPlan } from './plan.ts';
import type { Timeouts } from './timeouts.ts';

/** Between two connections that a guest dials and drops at once. */
const redialPause = 100;

export interface GuestRunPorts {
  readonly uid: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly timeouts: Timeouts;
  readonly onLine: (line: string) => void;
  /** What of the guest's log is withheld; nothing when absent. */
  readonly log?: GuestLogPolicy;
  readonly onPhase: (phase: keyof BootTimings) => void;
  /** The guest's bridge came up or went away. */
  readonly onConnection: () => void;
}

export interface GuestLogPolicy {
  /** Secrets are taken out (guest.scrubLogs). */
  readonly scrub?: boolean;
  readonly rate?: LogRate;
  /** Records that came too fast and became no line. */
  readonly onDropped?: (records: number) => void;
}

interface Listeners {
  readonly entropy: GuestListener;
  readonly log: GuestListener;
  readonly bridge: GuestListener;
}

export class GuestRun {
  readonly #ports: GuestRunPorts;
  readonly #listeners: Listeners;
  readonly #over = new AbortController();
  readonly #firstLog = Promise.withResolvers<void>();
  readonly #firstGuest = Promise.withResolvers<GuestIdentity>();
  #bridge: GuestBridge | undefined;
  #connected = false;
  /** A fresh high number in each process: late answers to an earlier agent are told apart by it (hcs-runtime E.7). */
  #nextBridgeId = BigInt(randomBytes(4).readUInt32LE()) << 24n;
  #reading: Promise<unknown> | undefined;

  private constructor(listeners: Listeners, ports: GuestRunPorts) {
    this.#listeners = listeners;
    this.#ports = ports;
    // Nobody may be waiting when they fail.
    this.#firstGuest.promise.catch(() => undefined);
  }

  /** Listens on all three ports, or on none. Before the VM starts, since a guest dials once. */
  static async open(sockets: GuestSockets, runtimeId: RuntimeId, ports: GuestRunPorts): Promise<GuestRun> {
    const opened: GuestListener[] = [];
    const listen = async (port: number) => {
      const listener = await sockets.listen(runtimeId, port);
      opened.push(listener);
      return listener;
    };
    try {
      const listeners = {
        entropy: await listen(guestPorts.entropy),
        log: await listen(guestPorts.log),
        bridge: await listen(guestPorts.bridge),
      };
      return new GuestRun(listeners, ports);
    } catch (error) {
      for (const listener of opened) await listener.close();
      throw error;
    }
  }

  get guestConnected(): boolean {
    return this.#connected;
  }

  /**
   * Starts the system and waits for what its options make the guest do. Rejects with a `MachineFailure`, or with
   * `CallOverdue` when HCS does not come back from the start.
   */
  async boot(system: ComputeSystem, plan: BootPlan, interrupt: AbortSignal): Promise<GuestIdentity | undefined> {
    const { clock, timeouts, onPhase } = this.#ports;
    const limit = new AbortController();
    let awaited = 'HCS to start the VM';
    const timer = clock.after(timeouts.bootTimeout, () => {
      const seconds = Math.round(timeouts.bootTimeout / 1000);
      limit.abort(new MachineFailure('BootTimeout', `waited ${seconds} s in vain for ${awaited}`));
    });
    system.ended.then(() =>
      limit.abort(new MachineFailure('ExitedDuringStart', `the VM ended while waiting for ${awaited}`)),
    );
    const signal = AbortSignal.any([limit.signal, interrupt]);
    const entropy = serveEntropy(this.#listeners.entropy, this.#ports.randomBytes, signal).then(() =>
      onPhase('entropy'),
    );
    entropy.catch(() => undefined);
    this.resume();
    try {
      await bounded(clock, timeouts.bootTimeout, 'HcsStartComputeSystem', () => system.start());
      onPhase('started');
      awaited = `the guest to fetch entropy on port ${guestPorts.entropy}`;
      await abortable(entropy, signal);
      if (plan.expects.log) {
        awaited = `the guest to connect its log on port ${guestPorts.log}`;
        await abortable(this.#firstLog.promise, signal);
        onPhase('log');
      }
      if (!plan.expects.bridge) return undefined;
      awaited = `the guest to answer on its bridge, port ${guestPorts.bridge}`;
      const guest = await abortable(this.#firstGuest.promise, signal);
      await this.#sendPolicy(plan, signal);
      onPhase('guestConnected');
      return guest;
    } finally {
      timer.cancel();
      limit.abort();
    }
  }

  /** Serves log and bridge, also of a guest that was up before this agent was. */
  resume(): void {
    const { logger, uid } = this.#ports;
    const failed = (what: string) => (error: unknown) => {
      if (!this.#over.signal.aborted) logger.error({ uid, error: messageOf(error) }, `${what} is not served any more`);
    };
    this.#serveLog().catch(failed('the guest log'));
    this.#serveBridge().catch(failed('the guest bridge'));
  }

  /** Of a VM that ended: reads what is left of its log, within bounds, and gives the sockets back. */
  async close(): Promise<void> {
    const { clock, timeouts } = this.#ports;
    if (this.#reading !== undefined) await Promise.race([this.#reading, delay(clock, timeouts.drainLogs)]);
    await this.abandon();
  }

  /** Gives the sockets back at once; the guest, if it runs, dials the next agent. */
  async abandon(): Promise<void> {
    this.#over.abort();
    this.#bridge?.close();
    const { entropy, log, bridge } = this.#listeners;
    await Promise.all([entropy.close(), log.close(), bridge.close()]);
  }

  async #sendPolicy({ policy }: BootPlan, signal: AbortSignal): Promise<void> {
    if (policy === undefined || this.#bridge === undefined) return;
    const settings = {
      EnforcerType: policy.enforcerType,
      EncodedSecurityPolicy: policy.encodedSecurityPolicy,
      EncodedUVMReference: policy.encodedUVMReference,
    };
    const sent = this.#bridge.modify({ resourceType: 'SecurityPolicy', requestType: 'Add', settings });
    await abortable(sent, signal);
  }

  async #serveLog(): Promise<void> {
    const { uid, clock } = this.#ports;
    const { signal } = this.#over;
    while (!signal.aborted) {
      const stream = await this.#listeners.log.accept(signal);
      this.#firstLog.resolve();
      const receiver = this.#logReceiver();
      this.#reading = readGuestLog(stream, { vmId: uid }, receiver.deliver).then(receiver.end);
      signal.addEventListener('abort', () => stream.destroy(), { once: true });
      await this.#reading;
      await delay(clock, redialPause, signal);
    }
  }

  /** For one connection: what its records become. */
  #logReceiver(): { readonly deliver: (records: readonly GuestLogRecord[]) => void; readonly end: () => void } {
    const { clock, log, onLine, uid } = this.#ports;
    const limiter = log?.rate === undefined ? undefined : new LogLimiter(log.rate, clock, uid);
    const deliver = (records: readonly GuestLogRecord[]) => {
      for (const record of records) onLine(logLine(log?.scrub === true ? scrubRecord(record) : record));
    };
    if (limiter === undefined) return { deliver, end: () => undefined };
    return {
      deliver: (records) => {
        const before = limiter.dropped;
        deliver(limiter.admit(records));
        if (limiter.dropped > before) log?.onDropped?.(limiter.dropped - before);
      },
      end: () => deliver(limiter.end()),
    };
  }

  async #serveBridge(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      const stream = await this.#listeners.bridge.accept(signal);
      const bridge = GuestBridge.connect(stream, { clock: this.#ports.clock, firstId: this.#nextBridgeId });
      this.#bridge = bridge;
      await this.#converse(bridge, signal);
      this.#nextBridgeId = bridge.nextId;
      await delay(this.#ports.clock, redialPause, signal);
    }
  }

  /** From the negotiation to the end of one connection. The guest dials again by itself (hcs-runtime E.1). */
  async #converse(bridge: GuestBridge, signal: AbortSignal): Promise<void> {
    const { uid, logger, onConnection } = this.#ports;
    try {
      const guest = await bridge.negotiate(signal);
      this.#connected = true;
      this.#firstGuest.resolve(guest);
      onConnection();
      const end = await bridge.closed;
      if (end.kind === 'failed') logger.warn({ uid, error: end.message }, 'the guest bridge ended');
    } catch (error) {
      if (!signal.aborted) logger.warn({ uid, error: messageOf(error) }, 'the guest bridge did not come up');
      if (error instanceof GuestProtocolError || error instanceof GuestRefusal) this.#firstGuest.reject(error);
      bridge.close();
    }
    this.#connected = false;
    onConnection();
  }
}

/** The promise, or the signal's reason when that comes first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
