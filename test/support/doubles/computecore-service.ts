// computecore.dll as a thin client of a simulated node's service process (computecore-client/). Systems live in that
// process, outlive the process that created them, and have guests that connect. A process has one such library, and so
// one connection.
import koffi from 'koffi';
import type { ComputeCoreBackend } from '../../../agent/windows/computecore/backend.ts';
import { type ComputeCorePaths, connectComputeCore } from '../../../agent/windows/computecore/computecore.ts';
import type { Method } from '../../../simulator/wire/rpc.ts';
import { buildDouble } from './build.ts';
import { type Counts, counters } from './computecore.ts';

export class ComputeCoreService {
  readonly #paths: ComputeCorePaths;
  readonly #count: (what: string) => number;
  readonly #reset: () => void;
  readonly #die: (method: string, number: number, isAnswered: number) => void;

  /** @param guestFolder where the node's guests find their host */
  static async connect(socketPath: string, guestFolder: string): Promise<ComputeCoreService> {
    return await ComputeCoreService.load(await buildDouble('computecore-client'), socketPath, guestFolder);
  }

  /** @param address the socket of the service, or its loopback port on Windows */
  static async load(path: string, address: string, guestFolder: string): Promise<ComputeCoreService> {
    const library = koffi.load(path);
    // Asynchronous, because the service may be in this process.
    const connect = library.func('DoubleConnect', 'int32_t', ['str', 'str16']);
    const connected = await new Promise<number>((resolve, reject) =>
      connect.async(address, guestFolder, (error: unknown, result: number) =>
        error === null || error === undefined ? resolve(result) : reject(error),
      ),
    );
    if (connected === 0) throw new Error(`nobody serves at ${address}`);
    return new ComputeCoreService(path);
  }

  private constructor(path: string) {
    const library = koffi.load(path);
    this.#paths = { computecore: path, kernel32: path };
    this.#count = library.func('DoubleCount', 'int32_t', ['str16']);
    this.#reset = library.func('DoubleReset', 'void', []);
    this.#die = library.func('DoubleDie', 'void', ['str', 'uint32_t', 'int32_t']);
  }

  backend(): ComputeCoreBackend {
    return connectComputeCore(this.#paths);
  }

  /** Counts of this process; systems belong to the service. */
  counts(): Counts {
    const counted = counters.map((what) => [what, this.#count(what)] as const);
    return Object.fromEntries(counted) as Counts;
  }

  /**
   * Kills this process within the native library at the `number`th request of the method (rpc.ts) from now: once the
   * request is sent, or once it is answered and nobody has seen the answer.
   */
  dieAt(method: Method, number: number, when: 'sent' | 'answered'): void {
    this.#die(method, number, when === 'answered' ? 1 : 0);
  }

  reset(): void {
    this.#reset();
  }
}
