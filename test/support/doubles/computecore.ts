// The test's side of the computecore double: scripts failures, ends guests, sends events, reads the counters.
import koffi from 'koffi';
import type { ComputeCoreBackend } from '../../../agent/windows/computecore/backend.ts';
import { type ComputeCorePaths, connectComputeCore } from '../../../agent/windows/computecore/computecore.ts';
import { type BuildOptions, buildDouble } from './build.ts';

const actions = {
  /** The call itself fails with the HRESULT `value`; the text is its result document. */
  failCall: 1,
  /** The operation fails with the HRESULT `value`; the text is its result document. */
  failOperation: 2,
  /** The operation takes `value` milliseconds. */
  delay: 3,
  /** The operation completes when `release` is called, and not before. */
  hold: 4,
  noResult: 5,
  /** The result document is the text. */
  result: 6,
  completeTwice: 7,
  /** The call itself takes `value` milliseconds. */
  block: 8,
  /** The operation completes when its system ends, or when `release` is called. */
  hang: 9,
} as const;

export interface Rule {
  readonly call: string;
  readonly action: keyof typeof actions;
  readonly value?: number;
  readonly text?: string;
  /** Number of the call, counted from now; absent = the next one, 0 = every one. */
  readonly number?: number;
}

export const counters = ['texts', 'operations', 'handles', 'systems'] as const;
export type Counts = Readonly<Record<(typeof counters)[number], number>>;

export class ComputeCoreDouble {
  readonly paths: ComputeCorePaths;
  readonly #count: (what: string) => number;
  readonly #visits: (call: string) => number;
  readonly #script: (call: string, number: number, action: number, value: number, text: string | null) => void;
  readonly #release: () => void;
  readonly #exit: (id: string, exitType: string, status: number) => number;
  readonly #send: (id: string, type: number, data: string | null) => void;
  readonly #sendToClosed: (type: number, data: string | null) => void;
  readonly #reset: () => void;

  /** The process has one instance of the library: loading it again shows the same systems. */
  static async load(options: BuildOptions = {}): Promise<ComputeCoreDouble> {
    return new ComputeCoreDouble(await buildDouble('computecore', options));
  }

  constructor(path: string) {
    const library = koffi.load(path);
    this.paths = { computecore: path, kernel32: path };
    this.#count = library.func('DoubleCount', 'int32_t', ['str16']);
    this.#visits = library.func('DoubleVisits', 'uint32_t', ['str16']);
    this.#script = library.func('DoubleScript', 'void', ['str16', 'uint32_t', 'uint32_t', 'uint32_t', 'str16']);
    this.#release = library.func('DoubleRelease', 'void', []);
    this.#exit = library.func('DoubleExit', 'int32_t', ['str16', 'str16', 'int32_t']);
    this.#send = library.func('DoubleSend', 'void', ['str16', 'uint32_t', 'str16']);
    this.#sendToClosed = library.func('DoubleSendToClosed', 'void', ['uint32_t', 'str16']);
    this.#reset = library.func('DoubleReset', 'void', []);
  }

  connect(): ComputeCoreBackend {
    return connectComputeCore(this.paths);
  }

  script({ call, action, value = 0, text, number = 1 }: Rule): void {
    this.#script(call, number, actions[action], value, text ?? null);
  }

  release(): void {
    this.#release();
  }

  /** The guest ends on its own. False when there is no such system. */
  exit(id: string, exitType: string, status: number): boolean {
    return this.#exit(id, exitType, status) !== 0;
  }

  /** Sends an event to every handle of the system, on separate threads. */
  send(id: string, type: number, data?: string): void {
    this.#send(id, type, data ?? null);
  }

  /** Sends an event to the callback of the handle that was closed last. */
  sendToClosed(type: number, data?: string): void {
    this.#sendToClosed(type, data ?? null);
  }

  visits(call: string): number {
    return this.#visits(call);
  }

  counts(): Counts {
    const count = (what: (typeof counters)[number]) => this.#count(what);
    return {
      texts: count('texts'),
      operations: count('operations'),
      handles: count('handles'),
      systems: count('systems'),
    };
  }

  /** Removes rules, and systems without handles. */
  reset(): void {
    this.#reset();
  }
}

export const nothingLeft: Counts = { texts: 0, operations: 0, handles: 0, systems: 0 };
