// The sockets of one run of a VM and what is served on them: entropy once, the log and the bridge for as long as the VM
// runs, as far as its guest dials them (hcs-runtime B.3, D, E). The listeners on 109 and on the bridge's port stay open while
// the VM runs, since a refused dial kills the guest or leaves it mute (design §8).
import type { Logger } from 'pino';
import type { BootTimings } from '../../protocol/messages.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded, CallOverdue, within } from '../bounds/bounded.ts';
import type { Timeouts } from '../bounds/timeouts.ts';
import { MachineFailure } from '../failure.ts';
import { GuestRefusal } from '../guest/bridge/errors.ts';
import type { GuestModification } from '../guest/bridge/guest-modification.ts';
import type { GuestIdentity } from '../guest/bridge/messages.ts';
import type { GuestCommand } from '../guest/bridge/process-request.ts';
import type { GuestProcess, GuestProcessesOptions, StdioWanted } from '../guest/bridge/processes.ts';
import { type RandomBytes, serveEntropy } from '../guest/entropy.ts';
import type { LogTurns } from '../guest/log/turns.ts';
import type { ComputeSystem, RuntimeId } from '../node/backend.ts';
import { type GuestListener, type GuestSockets, guestPorts } from '../node/guest-sockets.ts';
import { HcsError, hresult } from '../node/hcs-error.ts';
import type { BootPlan } from '../preparation/plan.ts';
import { GuestConversation } from './conversation.ts';
import type { GuestExpectations } from './expectations.ts';
import { type GuestLogPolicy, GuestLogService } from './log-service.ts';

export interface GuestRunPorts {
  readonly uid: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly timeouts: Timeouts;
  readonly onLines: (lines: readonly string[]) => void;
  /** When which guest's log is read on. Absent: as it comes. */
  readonly logTurns?: LogTurns | undefined;
  /** What of the guest's log is withheld; nothing when absent. */
  readonly log?: GuestLogPolicy;
  readonly onPhase: (phase: keyof BootTimings) => void;
  /** Where the ports of processes' streams begin, and where that is written down. */
  readonly stdio?: Pick<GuestProcessesOptions, 'firstPort' | 'onNextPort'>;
  /** The guest's bridge came up or went away. */
  readonly onConnection: () => void;
  /** Which ports the guest dials. */
  readonly expects: GuestExpectations;
}

/** In place of one on a port that the guest does not dial. */
const noListener: GuestListener = {
  accept: async (signal) => await abortable(new Promise<never>(() => undefined), signal),
  close: async () => undefined,
};

interface Listeners {
  readonly entropy: GuestListener;
  readonly log: GuestListener;
  readonly bridge: GuestListener;
}

export class GuestRun {
  readonly #ports: GuestRunPorts;
  readonly #listeners: Listeners;
  readonly #log: GuestLogService;
  readonly #conversation: GuestConversation;
  readonly #over = new AbortController();
  /** When the run was taken over (ms since the epoch); undefined of one that was booted here. */
  #resumedAt: number | undefined;

  private constructor(listeners: Listeners, ports: GuestRunPorts, listen: (port: number) => Promise<GuestListener>) {
    this.#listeners = listeners;
    this.#ports = ports;
    this.#log = new GuestLogService(listeners.log, ports);
    this.#conversation = new GuestConversation(listeners.bridge, ports, { listen, ...ports.stdio });
  }

  /** Listens on all ports that the guest dials, or on none. Before the VM starts, since a guest dials once. */
  static async open(sockets: GuestSockets, runtimeId: RuntimeId, ports: GuestRunPorts): Promise<GuestRun> {
    const listen = (port: number) => sockets.listen(runtimeId, port);
    const { expects } = ports;
    const listenIf = (isDialled: boolean, port: number) => (isDialled ? listen(port) : Promise.resolve(noListener));
    const opening = [
      listen(guestPorts.entropy),
      listenIf(expects.mayLog, guestPorts.log),
      listenIf(expects.bridge, guestPorts.bridge),
    ] as const;
    try {
      const [entropy, log, bridge] = await Promise.all(opening);
      return new GuestRun({ entropy, log, bridge }, ports, listen);
    } catch (error) {
      const opened = await Promise.allSettled(opening);
      for (const each of opened) if (each.status === 'fulfilled') await each.value.close();
      throw error;
    }
  }

  get guestConnected(): boolean {
    return this.#conversation.isConnected;
  }

  /**
   * The guest of a run that was taken over dials this agent when it notices that the one before has gone: it has a while for
   * that, and that of any other run has none. `waiting` when it has not connected yet.
   */
  async firstConnection(): Promise<GuestIdentity | 'waiting'> {
    const { clock, expects, timeouts } = this.#ports;
    const end = expects.bridge && this.#resumedAt !== undefined ? this.#resumedAt + timeouts.guestReconnect : 0;
    return await within(clock, Math.max(0, end - clock.now()), this.#conversation.first);
  }

  /** Ids of those that this host has started. */
  get processes(): readonly number[] {
    return this.#conversation.processes.ids;
  }

  /** Resolves when none of these runs any more. */
  processesEnded(ids: readonly number[]): Promise<void> {
    return this.#conversation.processes.ended(ids);
  }

  /** Starts a process in the VM. Whether that is allowed is for the caller to know (a confidential VM's policy decides). */
  execute(command: GuestCommand, wanted: StdioWanted, signal: AbortSignal): Promise<GuestProcess> {
    return this.#conversation.processes.execute(command, wanted, AbortSignal.any([signal, this.#over.signal]));
  }

  /** Asks the guest to power itself off; resolves when its bridge has ended. */
  powerOff(signal: AbortSignal): Promise<void> {
    return this.#conversation.bridge.powerOff(signal);
  }

  dumpStacks(): Promise<string> {
    return this.#conversation.bridge.dumpStacks();
  }

  /**
   * Starts the system and waits for what its options make the guest do. Rejects with a `MachineFailure`, or with
   * `CallOverdue` when HCS does not come back from the start.
   */
  async boot(system: ComputeSystem, plan: BootPlan, interrupt: AbortSignal): Promise<GuestIdentity | undefined> {
    const { clock, expects, timeouts, onPhase } = this.#ports;
    const limit = new AbortController();
    let awaited = 'HCS to start the VM';
    const timer = clock.after(timeouts.bootTimeout, () => {
      const seconds = Math.round(timeouts.bootTimeout / 1000);
      limit.abort(new MachineFailure('BootTimeout', `waited ${seconds} s in vain for ${awaited}`));
    });
    system.ended.then((end) =>
      limit.abort(
        end.kind === 'serviceDisconnected'
          ? new HcsError('HcsStartComputeSystem', hresult.serviceDisconnect)
          : new MachineFailure('ExitedDuringStart', `the VM ended while waiting for ${awaited}`),
      ),
    );
    const signal = AbortSignal.any([limit.signal, interrupt]);
    const entropy = serveEntropy(this.#listeners.entropy, this.#ports.randomBytes, signal).then(() =>
      onPhase('entropy'),
    );
    entropy.catch(() => undefined);
    this.#serve();
    try {
      await this.#start(system, interrupt, limit.signal);
      onPhase('started');
      awaited = `the guest to fetch entropy on port ${guestPorts.entropy}`;
      await abortable(entropy, signal);
      if (expects.log) {
        awaited = `the guest to connect its log on port ${guestPorts.log}`;
        await abortable(this.#log.first, signal);
        onPhase('log');
      }
      if (!expects.bridge) return undefined;
      awaited = `the guest to answer on its bridge, port ${guestPorts.bridge}`;
      const guest = await abortable(this.#conversation.first, signal);
      await this.#sendPolicy(plan, signal);
      onPhase('guestConnected');
      return guest;
    } finally {
      timer.cancel();
      limit.abort();
    }
  }

  /** Not waited for when the VM is not wanted any more, or has ended: `CallOverdue` then, too. */
  async #start(system: ComputeSystem, interrupt: AbortSignal, limit: AbortSignal): Promise<void> {
    const { clock, timeouts } = this.#ports;
    const call = 'HcsStartComputeSystem';
    const pending = system.start();
    const ended = new AbortController();
    // HCS fails the start of a system that ends, and says best why.
    const onEnd = () => clock.after(timeouts.lateCall, () => ended.abort(limit.reason));
    limit.addEventListener('abort', onEnd, { once: true });
    const signal = AbortSignal.any([interrupt, ended.signal]);
    try {
      await abortable(
        bounded(clock, timeouts.bootTimeout, call, () => pending),
        signal,
      );
    } catch (error) {
      if (error !== signal.reason || !(error instanceof MachineFailure)) throw error;
      throw new CallOverdue(call, 0, pending, error);
    } finally {
      limit.removeEventListener('abort', onEnd);
    }
  }

  /** Asks the guest for a change. Rejects when it refuses, when it is not connected, and when it does not answer in time. */
  async modify(modification: GuestModification, patience: number): Promise<void> {
    await this.#conversation.bridge.modify(modification, patience);
  }

  /** Runs a program in the VM that needs no streams; resolves with its exit code. */
  async run(command: GuestCommand): Promise<number> {
    const process = await this.execute(command, { stdin: false, stdout: false, stderr: false }, this.#over.signal);
    return await process.exitCode;
  }

  /** Of a guest that was up before this agent was: what it wrote in between, nobody has. */
  resume(): void {
    this.#resumedAt = this.#ports.clock.now();
    if (this.#ports.expects.log) this.#log.tellOfGap();
    this.#serve();
  }

  #serve(): void {
    const { logger } = this.#ports;
    const failed = (what: string) => (error: unknown) => {
      if (!this.#over.signal.aborted) logger.error({ error: messageOf(error) }, `${what} is not served any more`);
    };
    this.#log.serve(this.#over.signal).catch(failed('the guest log'));
    this.#conversation.serve(this.#over.signal).catch(failed('the guest bridge'));
  }

  /** Of a VM that ended: reads what is left of its log, within bounds, and gives the sockets back. */
  async close(): Promise<void> {
    const { clock, timeouts } = this.#ports;
    await Promise.race([this.#log.drained, delay(clock, timeouts.drainLogs)]);
    await this.abandon();
  }

  /** Gives the sockets back at once; the guest, if it runs, dials the next agent. */
  async abandon(): Promise<void> {
    this.#over.abort();
    this.#conversation.close();
    const { entropy, log, bridge } = this.#listeners;
    await Promise.all([entropy.close(), log.close(), bridge.close()]);
  }

  async #sendPolicy({ policy }: BootPlan, signal: AbortSignal): Promise<void> {
    if (policy === undefined) return;
    const settings = {
      EnforcerType: policy.enforcerType,
      EncodedSecurityPolicy: policy.encodedSecurityPolicy,
      EncodedUVMReference: policy.encodedUVMReference,
      EncodedUVMHashEnvelopeReference: policy.encodedUVMHashEnvelopeReference,
    };
    const sent = this.#conversation.bridge.modify({ resourceType: 'SecurityPolicy', requestType: 'Add', settings });
    await abortable(sent, signal).catch((error: unknown) => {
      if (!(error instanceof GuestRefusal)) throw error;
      throw new MachineFailure('PolicyRefused', `the guest refused the security policy: ${error.message}`, error);
    });
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
