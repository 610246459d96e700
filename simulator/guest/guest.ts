// The life of a simulated guest, in the order in which a real one contacts its host (hcs-runtime F.1 to F.4): boot →
// entropy (blocks until the stream ends) → log connection → service → bridge → running.

import { guestPorts } from '../../agent/node/guest-sockets.ts';
import { type Clock, delay } from '../../runtime/clock.ts';
import type { HostTiming } from '../host-file.ts';
import type { Dial } from '../wire/guest-dial.ts';
import type { GuestPhase } from '../wire/rpc.ts';
import type { ConnectionsOfPaused, GuestEnd, Step, Verdict, Visiting } from '../wire/script.ts';
import type { GuestBoot } from './boot-command.ts';
import { GuestLog } from './log.ts';
import { kernelLines, logLine, panicText, startedLine } from './log-lines.ts';
import type { DisksOfGuest } from './mounts.ts';
import { NetworkServices } from './network-services.ts';
import { GuestProcesses } from './processes.ts';
import { GuestResources } from './resources.ts';
import { GuestService } from './service.ts';
import { Standstill } from './standstill.ts';

export interface GuestOptions {
  readonly systemId: string;
  readonly boot: GuestBoot;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly timing: HostTiming;
  readonly script: Visiting;
  readonly disks: DisksOfGuest;
  /** Called once when the guest ends by itself, and not after `kill`. */
  readonly onEnd: (how: GuestEnd) => void;
}

export class SimulatedGuest {
  readonly resources: GuestResources;
  readonly #options: GuestOptions;
  readonly #life = new AbortController();
  readonly #standstill = new Standstill();
  readonly #dial: Dial;
  #phase: GuestPhase = 'booting';
  #entropyBytes = 0;
  #log: GuestLog | undefined;
  #service: GuestService | undefined;
  readonly #processes: GuestProcesses;
  readonly #services: NetworkServices;

  constructor(options: GuestOptions) {
    this.#options = options;
    const { clock, dial, disks } = options;
    this.#dial = this.#standstill.dialling(dial);
    this.resources = new GuestResources({
      disks,
      devicesShown: () => this.#visit('guestDevice'),
      clock,
      signal: this.#life.signal,
    });
    this.#processes = new GuestProcesses({
      dial: this.#dial,
      mounts: this.resources.mounts,
      clock,
      redialMilliseconds: options.timing.redialMilliseconds,
    });
    this.#services = new NetworkServices(options.systemId);
  }

  get phase(): GuestPhase {
    return this.#phase;
  }

  /** The amount of entropy that the host gave. */
  get entropyBytes(): number {
    return this.#entropyBytes;
  }

  /**
   * What the program that listens on a port does with a connection. Its programs run once the guest service does.
   */
  answering(port: number): ReturnType<NetworkServices['on']> {
    const isUp = this.#phase === 'service' || this.#phase === 'running';
    return isUp ? this.#services.on(port) : undefined;
  }

  start(): void {
    // An error here is either the guest's end, which was already reported, or a fault of the simulation: then the guest
    // panics.
    this.#live().catch(() => this.end('panic'));
  }

  end(how: GuestEnd): void {
    if (this.#life.signal.aborted) return;
    if (how === 'panic') void this.#log?.write(panicText);
    this.kill();
    this.#options.onEnd(how);
  }

  /** Cuts the power. */
  kill(): void {
    this.#phase = 'ended';
    this.#log?.end();
    this.#processes.end();
    this.#life.abort(new Error('the guest ended'));
    this.#standstill.end();
  }

  pause(connections: ConnectionsOfPaused): void {
    this.#standstill.begin(connections);
  }

  resume(): void {
    this.#standstill.end();
  }

  dropBridge(): void {
    this.#service?.dropConnection();
  }

  /** Writes the raw text to the log stream, `times` times. */
  async writeLog(text: string, times = 1): Promise<void> {
    const bytes = Buffer.from(text);
    for (let time = 0; time < times; time += 1) {
      await this.#standstill.over();
      await this.#log?.write(bytes);
    }
  }

  async #live(): Promise<void> {
    const { boot, clock, timing } = this.#options;
    if (timing.bootMilliseconds > 0) await delay(clock, timing.bootMilliseconds, this.#life.signal);
    if (boot.entropyPort !== undefined) await this.#readEntropy(boot.entropyPort);
    this.#phase = 'seeded';
    if (boot.fatal !== undefined) {
      this.end('crash');
      return;
    }
    if (timing.initMilliseconds > 0) await delay(clock, timing.initMilliseconds, this.#life.signal);
    if (boot.logPort !== undefined && !(await this.#connectLog(boot.logPort))) return;
    if (!boot.runsGuestService) return;
    this.#phase = 'service';
    await this.#greet();
    void this.#tick();
    await this.#runService();
  }

  /** Without a listener on the host the guest only lacks its seed. A stream that never ends hangs the guest (D.1). */
  async #readEntropy(port: number): Promise<void> {
    const verdict = await this.#visit('entropy');
    const socket = verdict.kind === 'fail' ? 'refused' : await this.#dial(port);
    if (socket === 'refused') return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const abandon = () => socket.destroy();
    this.#life.signal.addEventListener('abort', abandon, { once: true });
    socket.on('data', (bytes: Buffer) => {
      this.#entropyBytes += bytes.length;
    });
    socket.once('end', () => socket.destroy());
    socket.once('close', () => resolve());
    await promise;
    this.#life.signal.removeEventListener('abort', abandon);
    this.#life.signal.throwIfAborted();
  }

  /**
   * A refused log connection ends vsockexec, then init, then the VM, unless a relay retries or a shell remains (D.2).
   */
  async #connectLog(port: number): Promise<boolean> {
    const { boot, clock, timing } = this.#options;
    const verdict = await this.#visit('log');
    const log = new GuestLog({
      dial: () => this.#dial(port),
      relays: boot.relaysLog,
      redialMilliseconds: timing.redialMilliseconds,
      clock,
      signal: this.#life.signal,
      onLost: () => void this.#standstill.over().then(() => this.#loseCommand()),
    });
    const isConnected = verdict.kind !== 'fail' && (await log.connect());
    if (isConnected) {
      this.#log = log;
      this.#phase = 'logging';
      if (this.#life.signal.aborted) log.end();
    } else {
      this.#loseCommand();
    }
    return isConnected;
  }

  #loseCommand(): void {
    if (!this.#options.boot.isInBackground) this.end('crash');
  }

  async #greet(): Promise<void> {
    const now = this.#options.clock.now();
    await this.#log?.write([startedLine(now), ...kernelLines(now)].join(''));
  }

  async #tick(): Promise<void> {
    const { clock, timing } = this.#options;
    const interval = timing.logIntervalMilliseconds;
    const born = clock.now();
    while (interval > 0 && !this.#life.signal.aborted) {
      await delay(clock, interval, this.#life.signal).catch(() => {});
      await this.#standstill.over();
      if (this.#life.signal.aborted) return;
      const now = clock.now();
      await this.#log?.write(logLine(now, 'uptime', { seconds: Math.round((now - born) / 1000) }));
    }
  }

  async #runService(): Promise<void> {
    const { clock, timing } = this.#options;
    this.#service = new GuestService({
      dial: () => this.#dial(guestPorts.bridge),
      awake: () => this.#standstill.over(),
      redialMilliseconds: timing.redialMilliseconds,
      clock,
      signal: this.#life.signal,
      visit: (step) => this.#visit(step),
      processes: this.#processes,
      modify: (request, failure) => this.resources.modify(request, failure),
      powerOff: () => this.end('powerOff'),
      onNegotiated: () => this.#run(),
    });
    await this.#service.run();
  }

  #run(): void {
    if (this.#phase === 'running') return;
    this.#phase = 'running';
    void this.writeLog(logLine(this.#options.clock.now(), 'bridge negotiated', { version: 4 }));
    // Only a rule that ends the guest matters here, and it has already taken effect.
    this.#visit('running').catch(() => {});
    const after = this.#options.boot.powerOffAfterMilliseconds;
    if (after === undefined) return;
    // Rejects when the guest ends first.
    delay(this.#options.clock, after, this.#life.signal)
      .then(() => this.#standstill.over())
      .then(
        () => this.end('powerOff'),
        () => {},
      );
  }

  /** Rejects when the guest has ended by the time the step is over. */
  async #visit(step: Step): Promise<Verdict> {
    const subject = { system: this.#options.systemId };
    await this.#standstill.over();
    const verdict = await this.#options.script.visit(step, subject, this.#life.signal);
    await this.#standstill.over();
    if (verdict.kind === 'guestEnds') this.end(verdict.how);
    this.#life.signal.throwIfAborted();
    return verdict;
  }
}
