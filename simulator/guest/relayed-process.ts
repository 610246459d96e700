// The process of a VM that outlives its agent, as the agent's start script runs it in a simulated guest: below a relay,
// and with notes of its ids and its exit code.
import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Clock } from '../../runtime/clock.ts';
import type { Dial } from '../wire/guest-dial.ts';
import { GuestLog } from './log.ts';

export interface RelayPorts {
  readonly dial: Dial;
  readonly clock: Clock;
  readonly redialMilliseconds: number;
  /** Aborts when the guest ends. */
  readonly signal: AbortSignal;
}

/** `vsockexec -r`: what is written to `input` arrives at the host in order, also over several connections. */
export class OutputRelay {
  /** The standard output and error of the program. */
  readonly input: Duplex;
  readonly #log: GuestLog;
  readonly #over = new AbortController();

  constructor(port: number, { clock, dial, redialMilliseconds, signal }: RelayPorts) {
    const log = new GuestLog({
      dial: () => dial(port),
      relays: true,
      redialMilliseconds,
      clock,
      signal: AbortSignal.any([signal, this.#over.signal]),
      onLost: () => undefined,
    });
    this.#log = log;
    this.input = new Duplex({
      read() {
        this.push(null);
      },
      write(chunk: Buffer, _encoding, done) {
        log.write(chunk).then(() => done(), done);
      },
    });
    void log.connect();
  }

  /** Resolves when the host has taken everything, or the guest has ended. */
  async end(): Promise<void> {
    this.input.end();
    await finished(this.input, { readable: false }).catch(() => undefined);
    await this.#log.taken();
    this.#log.end();
    this.#over.abort();
  }
}

/** The files of the agent's scripts. */
export class ProcessNotes {
  #ids = '';
  #code = '';

  started(script: number, program: number): void {
    this.#ids = `${script} ${program}`;
  }

  ended(code: number): void {
    this.#code = String(code);
  }

  /** Undefined when no process was started. */
  get program(): number | undefined {
    return this.#ids === '' ? undefined : Number(this.#ids.split(' ')[1]);
  }

  get text(): string {
    return `ids=${this.#ids} code=${this.#code}\n`;
  }
}
