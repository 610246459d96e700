// The sockets of one boot of a VM and their services: entropy once, the log and the bridge as long as the VM runs, if
// its guest connects to them (hcs-runtime B.3, D, E). The listeners on 109 and on the bridge's port stay open while the
// VM runs, because a refused connection kills the guest or leaves it unreachable (design §8).
import type { Duplex, Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { BootTimings } from '../../protocol/messages.ts';
import { type Clock, delay, timeoutSignal } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded, CallOverdue, within } from '../bounds/bounded.ts';
import { fixedTimes, type Timeouts } from '../bounds/timeouts.ts';
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
import { RelayedOutput } from './relayed-output.ts';

export interface GuestRunPorts {
  readonly uid: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
  readonly timeouts: Timeouts;
  readonly onLines: (lines: readonly string[]) => void;
  /** Decides when each guest's log is read. Absent: on arrival. */
  readonly logTurns?: LogTurns | undefined;
  /** What is removed from the guest's log; nothing when absent. */
  readonly log?: GuestLogPolicy;
  readonly onPhase: (phase: keyof BootTimings) => void;
  /** The first port for streams of processes, and where the next one is stored. */
  readonly stdio?: Pick<GuestProcessesOptions, 'firstPort' | 'onNextPort'>;
  /** Called when the guest's bridge came up or went away. */
  readonly onConnection: () => void;
  /** The ports that the guest connects to. */
  readonly expects: GuestExpectations;
}

/** Stands in for a port that the guest does not connect to. */
const noListener: GuestListener = {
  accept: async (signal) => await abortable(new Promise<never>(() => undefined), signal),
  close: async () => undefined,
};

interface Listeners {
  readonly entropy: GuestListener;
  readonly log: GuestListener;
  readonly bridge: GuestListener;
}

/** The sockets of one VM. */
interface OwnSockets {
  listen(port: number): Promise<GuestListener>;
  connect(port: number, signal: AbortSignal): Promise<Duplex>;
}

export class GuestRun {
  readonly #sockets: OwnSockets;
  readonly #ports: GuestRunPorts;
  readonly #listeners: Listeners;
  readonly #log: GuestLogService;
  readonly #conversation: GuestConversation;
  readonly #over = new AbortController();
  /** The pending request for the guest's stacks. */
  #stacks: Promise<string> | undefined;
  /** When the VM was adopted (ms since the epoch); undefined for a VM that this agent booted. */
  #resumedAt: number | undefined;

  private constructor(listeners: Listeners, ports: GuestRunPorts, sockets: OwnSockets) {
    this.#sockets = sockets;
    this.#listeners = listeners;
    this.#ports = ports;
    this.#log = new GuestLogService(listeners.log, ports);
    this.#conversation = new GuestConversation(listeners.bridge, ports, { listen: sockets.listen, ...ports.stdio });
  }

  /**
   * Listens on all ports that the guest connects to, or on none. Must be called before the VM starts, because a guest
   * connects to some ports only once.
   */
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
      return new GuestRun({ entropy, log, bridge }, ports, {
        listen,
        connect: (port, signal) => sockets.connect(runtimeId, port, signal),
      });
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
   * Waits for the guest of an adopted VM to connect. Such a guest connects once it notices that the earlier agent is
   * gone, and has a limited time for it; a guest that this agent booted has none. `waiting` when the guest has not
   * connected yet.
   */
  async firstConnection(): Promise<GuestIdentity | 'waiting'> {
    const { clock, expects, timeouts } = this.#ports;
    const end = expects.bridge && this.#resumedAt !== undefined ? this.#resumedAt + timeouts.guestReconnect : 0;
    return await within(clock, Math.max(0, end - clock.now()), this.#conversation.first);
  }

  /** Aborts when the sockets of the run are closed. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Ids of the processes that this host started in the guest. */
  get processes(): readonly number[] {
    return this.#conversation.processes.ids;
  }

  /** Resolves when none of these processes runs any more. */
  processesEnded(ids: readonly number[]): Promise<void> {
    return this.#conversation.processes.ended(ids);
  }

  /**
   * Starts a process in the VM. The caller checks whether that is allowed (the policy of a confidential VM decides).
   */
  execute(command: GuestCommand, wanted: StdioWanted, signal: AbortSignal): Promise<GuestProcess> {
    return this.#conversation.processes.execute(command, wanted, AbortSignal.any([signal, this.#over.signal]));
  }

  /**
   * Listens for a relay in the guest (`vsockexec -r`), which connects to the given port, or to a new one. The stream is
   * destroyed with the sockets of the run.
   */
  async listenForRelay(known?: number): Promise<{ readonly port: number; readonly output: RelayedOutput }> {
    const { processes } = this.#conversation;
    const port = known ?? processes.reservePort();
    const output = new RelayedOutput(await processes.listen(port), this.#ports.clock);
    const abandon = () => output.destroy();
    this.#over.signal.addEventListener('abort', abandon, { once: true });
    output.once('close', () => this.#over.signal.removeEventListener('abort', abandon));
    if (this.#over.signal.aborted) abandon();
    return { port, output };
  }

  /** The exit code of a process that runs in the guest already. Rejects when the guest does not know it (any more). */
  exitOf(processId: number): Promise<number> {
    return this.#conversation.processes.exitOf(processId);
  }

  /**
   * Connects to a port of the guest. Rejects with a `TimeoutError` when the guest does not answer. The caller checks
   * whether the port may be reached, and watches `over`.
   */
  connect(port: number, signal: AbortSignal): Promise<Duplex> {
    const patience = timeoutSignal(this.#ports.clock, fixedTimes.run.dial);
    return this.#sockets.connect(port, AbortSignal.any([signal, this.#over.signal, patience]));
  }

  /** Asks the guest to power off. Resolves when its bridge has ended. */
  powerOff(signal: AbortSignal): Promise<void> {
    return this.#conversation.bridge.powerOff(signal);
  }

  /** A guest that does not answer is asked only once, however many users wait. */
  dumpStacks(): Promise<string> {
    this.#stacks ??= this.#conversation.bridge.dumpStacks().finally(() => {
      this.#stacks = undefined;
    });
    return this.#stacks;
  }

  /**
   * Starts the system and waits for what its options make the guest do. Rejects with a `MachineFailure`, or with
   * `CallOverdue` when the start does not return from HCS.
   */
  async boot(system: ComputeSystem, plan: BootPlan, interrupt: AbortSignal): Promise<GuestIdentity | undefined> {
    const { clock, expects, timeouts, onPhase } = this.#ports;
    const limit = new AbortController();
    let awaited = 'HCS to start the VM';
    const timer = clock.after(timeouts.bootTimeout, () => {
      const seconds = Math.round(timeouts.bootTimeout / 1000);
      limit.abort(new MachineFailure('BootTimeout', `waited ${seconds} s for ${awaited}`));
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
      awaited = `the guest to fetch entropy on port ${guestPorts.entropy}${bootedText(plan)}`;
      await abortable(entropy, signal);
      if (expects.log) {
        awaited = `the guest to connect its log on port ${guestPorts.log}${relayText(plan)}`;
        await abortable(this.#log.first, signal);
        onPhase('log');
      }
      if (!expects.bridge) return undefined;
      awaited = `the guest to answer on its bridge, port ${guestPorts.bridge}${expects.log ? '' : relayText(plan)}`;
      const guest = await abortable(this.#conversation.first, signal);
      await this.#sendPolicy(plan, signal);
      onPhase('guestConnected');
      return guest;
    } finally {
      timer.cancel();
      limit.abort();
    }
  }

  /** Stops waiting with `CallOverdue` when the VM is no longer wanted or has ended, too. */
  async #start(system: ComputeSystem, interrupt: AbortSignal, limit: AbortSignal): Promise<void> {
    const { clock, timeouts } = this.#ports;
    const call = 'HcsStartComputeSystem';
    const pending = system.start();
    const ended = new AbortController();
    // When a system ends, HCS fails its start with the best description of the cause.
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

  /** Asks the guest for a change. Rejects when the guest refuses, is not connected, or does not answer in time. */
  async modify(modification: GuestModification, patience: number): Promise<void> {
    await this.#conversation.bridge.modify(modification, patience);
  }

  /** Runs a program without streams in the VM. Resolves with its exit code. */
  async run(command: GuestCommand): Promise<number> {
    const process = await this.execute(command, { stdin: false, stdout: false, stderr: false }, this.#over.signal);
    return await process.exitCode;
  }

  /** Runs a program in the VM that writes a few bytes to its standard output. Resolves with their text. */
  async read(command: GuestCommand): Promise<string> {
    const wanted = { stdin: false, stdout: true, stderr: false };
    const { stdout } = await this.execute(command, wanted, this.#over.signal);
    return stdout === undefined ? '' : await beginningOf(stdout, maxReadBytes);
  }

  /** Serves a guest that was up before this agent was. Its output in between is lost. */
  resume(): void {
    this.#resumedAt = this.#ports.clock.now();
    if (this.#ports.expects.log) this.#log.tellOfGap();
    this.#serve();
  }

  #serve(): void {
    const { logger } = this.#ports;
    const failed = (what: string) => (error: unknown) => {
      if (!this.#over.signal.aborted) logger.error({ error: messageOf(error) }, `${what} is no longer served`);
    };
    this.#log.serve(this.#over.signal).catch(failed('the guest log'));
    this.#conversation.serve(this.#over.signal).catch(failed('the guest bridge'));
  }

  /** For a VM that ended: reads the rest of its log, within bounds, and closes the sockets. */
  async close(): Promise<void> {
    const { clock, timeouts } = this.#ports;
    await Promise.race([this.#log.drained, delay(clock, timeouts.drainLogs)]);
    await this.abandon();
  }

  /** Closes the sockets at once. A guest that runs connects to the next agent. */
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

/** The most that is read from a program of the agent's own. */
const maxReadBytes = 256;

/** Reads to the end of the stream, or until there is more than expected. */
async function beginningOf(stream: Readable, bytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const piece = Buffer.from(chunk);
    chunks.push(piece);
    length += piece.length;
    if (length > bytes) break;
  }
  stream.destroy();
  return Buffer.concat(chunks).toString('utf8');
}

/** The promise, or the signal's reason if the signal aborts first. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** An older vsockexec refuses the option -r, with which a VM outlives its agent, and ends the guest. */
function relayText({ applied }: BootPlan): string {
  return applied.outlivesAgent
    ? '; terminateOnAgentExit: false needs a guest image of hcsshim v0.15.0 (July 2026) or later'
    : '';
}

/** A guest that never asks for entropy often has a root file system that is empty or was not copied completely. */
function bootedText({ boots }: BootPlan): string {
  const files = boots.map(({ bytes, path }) => `${path} (${bytes} bytes)`);
  return files.length === 0 ? '' : `; it boots ${files.join(' and ')}`;
}
