// One container of a pod: its process, probes, restarts with back-off, and its part of the pod's status.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Network } from './network.ts';
import type { ContainerSpec, Pod } from './objects.ts';
import { followProbe, type ProbeTarget } from './probe.ts';

/** A kubelet's values are 10 s and 300 s; a test waits less. The first restart comes at once. */
const backoff = { firstMilliseconds: 1_000, capMilliseconds: 30_000 } as const;
/** Exit codes of processes that a signal ended, as container runtimes report them. */
const signalNumbers: Readonly<Record<string, number>> = { SIGKILL: 137, SIGTERM: 143, SIGINT: 130 };

interface Terminated {
  readonly exitCode: number;
  readonly reason: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly message?: string;
}

type State =
  | { readonly waiting: { readonly reason: string; readonly message?: string } }
  | { readonly running: { readonly startedAt: string } }
  | { readonly terminated: Terminated };

export interface ContainerSurroundings {
  readonly restartPolicy: Pod['spec']['restartPolicy'];
  /** Periods of probes are divided by this. */
  readonly haste: number;
  readonly network: Network;
  /** Starts the container's own command, or another one beside it. */
  readonly launch: (command?: readonly string[]) => Promise<ChildProcess>;
  readonly changed: () => void;
}

export class Container {
  readonly spec: ContainerSpec;
  readonly #surroundings: ContainerSurroundings;
  readonly #end = new AbortController();
  #state: State = { waiting: { reason: 'ContainerCreating' } };
  #last: Terminated | undefined;
  #restarts = 0;
  #started = false;
  #ready = false;
  #child: ChildProcess | undefined;
  #run: Promise<void> | undefined;

  constructor(spec: ContainerSpec, surroundings: ContainerSurroundings) {
    this.spec = spec;
    this.#surroundings = surroundings;
  }

  get ready(): boolean {
    return this.#ready;
  }

  /** Undefined until the container has ended for good. */
  get exitCode(): number | undefined {
    return 'terminated' in this.#state ? this.#state.terminated.exitCode : undefined;
  }

  get status(): object {
    const { name, image } = this.spec;
    return {
      name,
      image,
      imageID: image,
      state: this.#state,
      lastState: this.#last === undefined ? {} : { terminated: this.#last },
      restartCount: this.#restarts,
      started: this.#started,
      ready: this.#ready,
    };
  }

  start(): void {
    this.#run ??= this.#keepRunning();
  }

  /** Asks the process to end, and kills it after the grace period. */
  async stop(graceMilliseconds: number): Promise<void> {
    this.#end.abort();
    this.#child?.kill('SIGTERM');
    const killer = setTimeout(() => this.#child?.kill('SIGKILL'), graceMilliseconds);
    await this.#run;
    clearTimeout(killer);
  }

  async #keepRunning(): Promise<void> {
    const { restartPolicy } = this.#surroundings;
    while (!this.#end.signal.aborted) {
      const ended = await this.#once();
      const again = restartPolicy === 'Always' || (restartPolicy === 'OnFailure' && ended.exitCode !== 0);
      if (!again || this.#end.signal.aborted) {
        this.#become({ terminated: ended });
        return;
      }
      this.#last = ended;
      this.#become({ waiting: { reason: 'CrashLoopBackOff', message: `it ended with ${ended.exitCode}` } });
      await delay(this.#pause(), undefined, { signal: this.#end.signal, ref: false }).catch(() => {});
      if (!this.#end.signal.aborted) this.#restarts += 1;
    }
    if (!('terminated' in this.#state)) this.#become({ terminated: this.#last ?? neverStarted() });
  }

  #pause(): number {
    if (this.#restarts === 0) return 0;
    return Math.min(backoff.capMilliseconds, backoff.firstMilliseconds * 2 ** (this.#restarts - 1));
  }

  async #once(): Promise<Terminated> {
    const startedAt = new Date().toISOString();
    let child: ChildProcess;
    try {
      child = await this.#surroundings.launch();
    } catch (error) {
      return { exitCode: 128, reason: 'StartError', message: String(error), startedAt, finishedAt: startedAt };
    }
    this.#child = child;
    if (this.#end.signal.aborted) child.kill('SIGTERM');
    const exited = once(child, 'exit');
    const probing = new AbortController();
    this.#started = this.spec.startupProbe === undefined;
    this.#ready = false;
    this.#become({ running: { startedAt } });
    const probes = this.#probe(child, probing.signal);
    const [code, signal] = await exited;
    probing.abort();
    await probes;
    this.#child = undefined;
    this.#started = false;
    this.#ready = false;
    const exitCode = typeof code === 'number' ? code : (signalNumbers[String(signal)] ?? 128);
    const reason = exitCode === 0 ? 'Completed' : 'Error';
    return { exitCode, reason, startedAt, finishedAt: new Date().toISOString() };
  }

  async #probe(child: ChildProcess, signal: AbortSignal): Promise<void> {
    const { network, launch, haste } = this.#surroundings;
    const target: ProbeTarget = { network, ports: this.spec.ports, execute: launch };
    const { startupProbe, livenessProbe, readinessProbe } = this.spec;
    if (startupProbe !== undefined) {
      const settled = new AbortController();
      const tell = (succeeded: boolean) => {
        if (succeeded) this.#started = true;
        else child.kill('SIGTERM');
        settled.abort();
      };
      await followProbe(startupProbe, target, { signal: AbortSignal.any([signal, settled.signal]), haste, tell });
      this.#surroundings.changed();
    }
    if (readinessProbe === undefined) this.#beReady(!signal.aborted);
    await Promise.all([
      readinessProbe === undefined
        ? undefined
        : followProbe(readinessProbe, target, { signal, haste, tell: (succeeded) => this.#beReady(succeeded) }),
      livenessProbe === undefined
        ? undefined
        : followProbe(livenessProbe, target, {
            signal,
            haste,
            tell: (succeeded) => {
              if (!succeeded) child.kill('SIGTERM');
            },
          }),
    ]);
  }

  #beReady(ready: boolean): void {
    if (ready === this.#ready) return;
    this.#ready = ready;
    this.#surroundings.changed();
  }

  #become(state: State): void {
    this.#state = state;
    this.#surroundings.changed();
  }
}

function neverStarted(): Terminated {
  const now = new Date().toISOString();
  return { exitCode: 137, reason: 'ContainerStatusUnknown', startedAt: now, finishedAt: now };
}
