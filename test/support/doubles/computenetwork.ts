// The test's side of the computenetwork double: makes networks, scripts failures, restarts HNS, reads the counters.
import koffi from 'koffi';
import { connectComputeNetwork } from '../../../agent/windows/computenetwork/computenetwork.ts';
import type { ComputeNetworkService } from '../../../agent/windows/computenetwork/service.ts';
import type { NetworkLibraries } from '../../../agent/windows/system-library.ts';
import { type SimulatedNetworkInput, simulatedNetwork } from '../../../simulator/wire/network.ts';
import { type BuildOptions, buildDouble } from './build.ts';

const actions = {
  /** The call fails with the HRESULT `value`; the text is its error record. */
  failCall: 1,
  /** The call returns when `release` is called, and not before. */
  hold: 4,
  noResult: 5,
  /** The answer is the text. */
  result: 6,
} as const;

export interface NetworkRule {
  readonly call: string;
  readonly action: keyof typeof actions;
  readonly value?: number;
  readonly text?: string;
  /** Number of the call, counted from now; absent = the next one, 0 = every one. */
  readonly number?: number;
}

const guid = koffi.struct({
  Data1: 'uint32_t',
  Data2: 'uint16_t',
  Data3: 'uint16_t',
  Data4: koffi.array('uint8_t', 8),
});
const notPersistent = 8;

export class ComputeNetworkDouble {
  readonly paths: NetworkLibraries;
  readonly #count: (what: string) => number;
  readonly #visits: (call: string) => number;
  readonly #script: (call: string, number: number, action: number, value: number, text: string | null) => void;
  readonly #network: (id: object, name: string, type: string, subnet: string, flags: number) => void;
  readonly release: () => void;
  /** HNS starts again. */
  readonly restart: () => void;
  /** HNS is as after a reboot. */
  readonly reboot: () => void;
  /** Removes rules, networks and endpoints. */
  readonly reset: () => void;

  /** The process has one instance of the library: loading it again shows the same networks. */
  static async load(options: BuildOptions = {}): Promise<ComputeNetworkDouble> {
    return new ComputeNetworkDouble(await buildDouble('computenetwork', options));
  }

  constructor(path: string) {
    const library = koffi.load(path);
    this.paths = { computenetwork: path, vmcompute: path, ole32: path };
    this.#count = library.func('DoubleCount', 'int32_t', ['str16']);
    this.#visits = library.func('DoubleVisits', 'uint32_t', ['str16']);
    this.#script = library.func('DoubleScript', 'void', ['str16', 'uint32_t', 'uint32_t', 'uint32_t', 'str16']);
    this.#network = library.func('DoubleNetwork', 'void', [koffi.pointer(guid), 'str16', 'str16', 'str16', 'int32_t']);
    this.release = library.func('DoubleRelease', 'void', []);
    this.restart = library.func('DoubleRestart', 'void', []);
    this.reboot = library.func('DoubleReboot', 'void', []);
    this.reset = library.func('DoubleReset', 'void', []);
  }

  connect(): ComputeNetworkService {
    return connectComputeNetwork(this.paths);
  }

  /** The double has at most one subnet for each network. */
  addNetwork(network: SimulatedNetworkInput): void {
    const { id, isPersistent, name, subnets, type } = simulatedNetwork.parse(network);
    this.#network(partsOf(id), name, type, subnets[0] ?? '', isPersistent ? 0 : notPersistent);
  }

  script({ call, action, value = 0, text, number = 1 }: NetworkRule): void {
    this.#script(call, number, actions[action], value, text ?? null);
  }

  visits(call: string): number {
    return this.#visits(call);
  }

  /** What was not freed or closed. */
  get left(): { readonly texts: number; readonly handles: number } {
    return { texts: this.#count('texts'), handles: this.#count('handles') };
  }
}

function partsOf(id: string): object {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
  const [Data1, Data2, Data3] = [bytes.readUInt32BE(0), bytes.readUInt16BE(4), bytes.readUInt16BE(6)];
  return { Data1, Data2, Data3, Data4: [...bytes.subarray(8)] };
}
