// The process of the current run of a VM, as long as this agent is connected to it: how it ended, once it has ended and
// its output was read.
import { messageOf } from '../../../runtime/error-text.ts';
import type { GuestProcess } from '../../guest/bridge/processes.ts';
import type { GuestRun } from '../../run/guest-run.ts';
import type { RelayedOutput } from '../../run/relayed-output.ts';
import type { ProcessOutput } from './output.ts';

export type ProcessEnd =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'lost'; readonly why: string };

/** The output of a process that runs below a relay. */
export interface Relay {
  readonly run: GuestRun;
  readonly stream: RelayedOutput;
  readonly output: ProcessOutput;
}

interface Followed {
  /** The run of the VM. */
  readonly boot: number;
  readonly output: ProcessOutput;
  /** Never rejects. */
  readonly exit: Promise<ProcessEnd>;
  /** Resolves when the output was read, after the exit. */
  read: Promise<void>;
  end: ProcessEnd | undefined;
  /** Its output was read, too. */
  isRead: boolean;
}

export class LiveProcess {
  readonly #wake: () => void;
  #followed: Followed | undefined;
  #relay: Relay | undefined;

  /** @param wake called when the process has ended */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  /** Reads the output of a relay, whether or not the process is followed yet. */
  hear(relay: Relay): void {
    this.#relay?.output.close();
    this.#relay = relay;
  }

  relayOf(run: GuestRun): Relay | undefined {
    return this.#relay?.run === run ? this.#relay : undefined;
  }

  follow(boot: number, { exitCode }: Pick<GuestProcess, 'exitCode'>, output: ProcessOutput): void {
    const exit = exitCode.then(
      (code): ProcessEnd => ({ kind: 'exited', exitCode: code }),
      (error: unknown): ProcessEnd => ({ kind: 'lost', why: messageOf(error) }),
    );
    const followed = { boot, output, exit, read: Promise.resolve(), end: undefined, isRead: false };
    this.#followed = followed;
    followed.read = this.#untilEnd(followed);
  }

  /** Undefined while the process of this run has not ended, or when it was not followed. */
  endOf(boot: number): ProcessEnd | undefined {
    return this.#followed?.boot === boot ? this.#followed.end : undefined;
  }

  /** As `endOf`, but undefined until the output was read. */
  endAfterOutput(boot: number): ProcessEnd | undefined {
    return this.#followed?.isRead === true ? this.endOf(boot) : undefined;
  }

  isFollowed(boot: number): boolean {
    return this.#followed?.boot === boot;
  }

  /** Resolves with the exit, before the output was read; never when the process is not followed. */
  async exitOf(boot: number): Promise<ProcessEnd> {
    const followed = this.#followed;
    return followed?.boot === boot ? await followed.exit : await new Promise<never>(() => undefined);
  }

  /** Resolves when the process has ended and its output was read. */
  async outputOf(boot: number): Promise<void> {
    if (this.#followed?.boot === boot) await this.#followed.read;
  }

  /** The run is over. */
  close(): void {
    this.#followed?.output.close();
    this.#relay?.output.close();
    this.#relay = undefined;
  }

  async #untilEnd(followed: Followed): Promise<void> {
    followed.end = await followed.exit;
    await followed.output.drained();
    followed.isRead = true;
    this.#wake();
  }
}
