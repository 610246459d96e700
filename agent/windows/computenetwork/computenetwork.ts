// The binding of computenetwork.dll (docs/reference/hns.md): the only file that calls it. Its functions are synchronous,
// so each runs on a thread of libuv's pool. They pass a gate of their own: an HNS that hangs takes no thread from
// HCS, files and names.
import koffi, { type TypeObject } from 'koffi';
import { z } from 'zod';
import { messageOf } from '../../../runtime/error-text.ts';
import { HnsError, hnsResult } from '../../node/hns-error.ts';
import { networkCalls } from '../call-gates.ts';
import {
  bindFunction,
  callAsync,
  type NativeFunction,
  type NetworkLibraries,
  networkLibraries,
  type ParameterType,
} from '../system-library.ts';
import type {
  ComputeNetwork,
  EndpointHandle,
  NativeOpened,
  NativeOutcome,
  NativeText,
  NetworkHandle,
} from './native.ts';
import { ComputeNetworkService } from './service.ts';

/** Loads nothing before the first call. On a Windows without HNS each call rejects with `HNSUnsupported`. */
export function connectComputeNetwork(paths: NetworkLibraries = networkLibraries()): ComputeNetworkService {
  return new ComputeNetworkService(() => loaded(paths));
}

const libraries = new Map<string, ComputeNetworkLibrary>();

function loaded(paths: NetworkLibraries): ComputeNetwork {
  const key = `${paths.computenetwork}\n${paths.vmcompute}\n${paths.ole32}`;
  const library = libraries.get(key) ?? load(paths);
  libraries.set(key, library);
  return library;
}

function load(paths: NetworkLibraries): ComputeNetworkLibrary {
  try {
    return new ComputeNetworkLibrary(paths);
  } catch (error) {
    throw new HnsError('computenetwork.dll', hnsResult.moduleNotFound, messageOf(error));
  }
}

// --- signatures -------------------------------------------------------------------------------------------------------

const pointer = koffi.pointer('void');
const handleOut = koffi.out(koffi.pointer(pointer));
const guid = koffi.pointer(
  koffi.struct({
    Data1: 'uint32_t',
    Data2: 'uint16_t',
    Data3: 'uint16_t',
    Data4: koffi.array('uint8_t', 8),
  }),
);

function signatures(textOut: ParameterType) {
  return {
    HcnEnumerateNetworks: ['str16', textOut, textOut],
    HcnOpenNetwork: [guid, handleOut, textOut],
    HcnQueryNetworkProperties: [pointer, 'str16', textOut, textOut],
    HcnCloseNetwork: [pointer],
    HcnEnumerateEndpoints: ['str16', textOut, textOut],
    HcnCreateEndpoint: [pointer, guid, 'str16', handleOut, textOut],
    HcnOpenEndpoint: [guid, handleOut, textOut],
    HcnModifyEndpoint: [pointer, 'str16', textOut],
    HcnQueryEndpointProperties: [pointer, 'str16', textOut, textOut],
    HcnDeleteEndpoint: [guid, textOut],
    HcnCloseEndpoint: [pointer],
  } as const satisfies Readonly<Record<string, readonly ParameterType[]>>;
}
type Export = keyof ReturnType<typeof signatures>;

const guidText = z.guid();

/** The members of a GUID, of which the first three are numbers. */
function guidOf(id: string) {
  const hex = guidText.parse(id).replaceAll('-', '');
  const bytes = Buffer.from(hex, 'hex');
  return {
    Data1: bytes.readUInt32BE(0),
    Data2: bytes.readUInt16BE(4),
    Data3: bytes.readUInt16BE(6),
    Data4: [...bytes.subarray(8)],
  };
}

/** Names of koffi types are global, and each library frees memory with its own function. */
let textTypes = 0;

// --- calls ------------------------------------------------------------------------------------------------------------

class ComputeNetworkLibrary implements ComputeNetwork {
  readonly #functions: ReadonlyMap<string, NativeFunction>;
  readonly #hnsCall: NativeFunction | undefined;

  /** vmcompute.dll has HNSCall, which tells the version; ole32.dll has CoTaskMemFree, which frees texts. */
  constructor({ computenetwork, ole32, vmcompute }: NetworkLibraries) {
    const free = bindFunction(ole32, 'CoTaskMemFree', 'void', [pointer]);
    textTypes += 1;
    // The text is copied and then freed, whether or not the call succeeded.
    const text: TypeObject = koffi.disposable(`HcnText${textTypes}`, 'str16', free);
    const textOut = koffi.out(koffi.pointer(text.name));
    this.#functions = new Map(
      Object.entries(signatures(textOut)).map(([name, parameters]) => [
        name,
        bindFunction(computenetwork, name, 'int32_t', parameters),
      ]),
    );
    this.#hnsCall = bindOptional(vmcompute, 'HNSCall', ['str16', 'str16', 'str16', textOut]);
  }

  get hnsCall(): ComputeNetwork['hnsCall'] {
    const native = this.#hnsCall;
    if (native === undefined) return undefined;
    return async (method, path, request) => {
      const out: [string | null] = [null];
      const hresult = await networkCalls.pass(() => callAsync(native, method, path, request, out));
      return { hresult, error: undefined, text: out[0] ?? undefined };
    };
  }

  enumerateNetworks(query: string): Promise<NativeText> {
    return this.#textCall('HcnEnumerateNetworks', query);
  }

  openNetwork(id: string): Promise<NativeOpened<NetworkHandle>> {
    return this.#handleCall('HcnOpenNetwork', guidOf(id));
  }

  networkProperties(network: NetworkHandle, query: string): Promise<NativeText> {
    return this.#textCall('HcnQueryNetworkProperties', network, query);
  }

  async closeNetwork(network: NetworkHandle): Promise<void> {
    await this.#call('HcnCloseNetwork', network);
  }

  enumerateEndpoints(query: string): Promise<NativeText> {
    return this.#textCall('HcnEnumerateEndpoints', query);
  }

  openEndpoint(id: string): Promise<NativeOpened<EndpointHandle>> {
    return this.#handleCall('HcnOpenEndpoint', guidOf(id));
  }

  createEndpoint(network: NetworkHandle, id: string, document: string): Promise<NativeOpened<EndpointHandle>> {
    return this.#handleCall('HcnCreateEndpoint', network, guidOf(id), document);
  }

  endpointProperties(endpoint: EndpointHandle, query: string): Promise<NativeText> {
    return this.#textCall('HcnQueryEndpointProperties', endpoint, query);
  }

  modifyEndpoint(endpoint: EndpointHandle, change: string): Promise<NativeOutcome> {
    return this.#plainCall('HcnModifyEndpoint', endpoint, change);
  }

  deleteEndpoint(id: string): Promise<NativeOutcome> {
    return this.#plainCall('HcnDeleteEndpoint', guidOf(id));
  }

  async closeEndpoint(endpoint: EndpointHandle): Promise<void> {
    await this.#call('HcnCloseEndpoint', endpoint);
  }

  async #plainCall(name: Export, ...parameters: unknown[]): Promise<NativeOutcome> {
    const error: [string | null] = [null];
    const hresult = await this.#call(name, ...parameters, error);
    return { hresult, error: error[0] ?? undefined };
  }

  async #textCall(name: Export, ...parameters: unknown[]): Promise<NativeText> {
    const out: [string | null] = [null];
    return { ...(await this.#plainCall(name, ...parameters, out)), text: out[0] ?? undefined };
  }

  async #handleCall<Handle>(name: Export, ...parameters: unknown[]): Promise<NativeOpened<Handle>> {
    const out: [Handle | null] = [null];
    return { ...(await this.#plainCall(name, ...parameters, out)), handle: out[0] ?? undefined };
  }

  #call(name: Export, ...parameters: unknown[]): Promise<number> {
    const native = this.#functions.get(name);
    if (native === undefined) throw new Error(`computenetwork.dll has no ${name}`);
    return networkCalls.pass(() => callAsync(native, ...parameters));
  }
}

function bindOptional(path: string, name: string, parameters: readonly ParameterType[]): NativeFunction | undefined {
  try {
    return bindFunction(path, name, 'int32_t', parameters);
  } catch {
    return undefined;
  }
}
