// The HNS of this Windows node, through computenetwork.dll (docs/reference/hns.md). Each call opens what it needs and
// closes it again; closing a handle deletes nothing.
import { z } from 'zod';
import { HnsError, hnsResult } from '../../node/hns-error.ts';
import type { EndpointId, HnsVersion, NetworkId, NetworkService } from '../../node/network-service.ts';
import type {
  ComputeNetwork,
  EndpointHandle,
  NativeOpened,
  NativeOutcome,
  NativeText,
  NetworkHandle,
} from './native.ts';

/** Everything, in the second schema. */
const query = JSON.stringify({ SchemaVersion: { Major: 2, Minor: 0 } });

export class ComputeNetworkService implements NetworkService {
  readonly #load: () => ComputeNetwork;

  /** `load` throws an `HnsError` on a Windows without HNS. */
  constructor(load: () => ComputeNetwork) {
    this.#load = load;
  }

  async version(): Promise<HnsVersion> {
    const { hnsCall } = this.#load();
    if (hnsCall === undefined) throw new HnsError('HNSCall', 0x8007_007f);
    return versionIn(textOf('HNSCall', await hnsCall('GET', '/globals/version', '')));
  }

  async listNetworks(): Promise<string> {
    return textOf('HcnEnumerateNetworks', await this.#load().enumerateNetworks(query));
  }

  readNetwork(id: NetworkId): Promise<string> {
    return this.#withNetwork(id, async (network, native) =>
      textOf('HcnQueryNetworkProperties', await native.networkProperties(network, query)),
    );
  }

  async listEndpoints(): Promise<string> {
    return textOf('HcnEnumerateEndpoints', await this.#load().enumerateEndpoints(query));
  }

  readEndpoint(id: EndpointId): Promise<string> {
    return this.#withEndpoint(id, async (endpoint, native) =>
      textOf('HcnQueryEndpointProperties', await native.endpointProperties(endpoint, query)),
    );
  }

  createEndpoint(network: NetworkId, id: EndpointId, document: string): Promise<string> {
    return this.#withNetwork(network, async (handle, native) => {
      const created = await native.createEndpoint(handle, id, document);
      try {
        const endpoint = handleOf('HcnCreateEndpoint', created);
        return textOf('HcnQueryEndpointProperties', await native.endpointProperties(endpoint, query));
      } finally {
        // HNS may leave a handle of a creation that failed.
        if (created.handle !== undefined) await native.closeEndpoint(created.handle);
      }
    });
  }

  modifyEndpoint(id: EndpointId, change: string): Promise<void> {
    return this.#withEndpoint(id, async (endpoint, native) =>
      requireSuccess('HcnModifyEndpoint', await native.modifyEndpoint(endpoint, change)),
    );
  }

  async deleteEndpoint(id: EndpointId): Promise<void> {
    requireSuccess('HcnDeleteEndpoint', await this.#load().deleteEndpoint(id));
  }

  async #withNetwork<T>(id: NetworkId, use: (handle: NetworkHandle, native: ComputeNetwork) => Promise<T>): Promise<T> {
    const native = this.#load();
    const handle = handleOf('HcnOpenNetwork', await native.openNetwork(id));
    try {
      return await use(handle, native);
    } finally {
      await native.closeNetwork(handle);
    }
  }

  async #withEndpoint<T>(
    id: EndpointId,
    use: (handle: EndpointHandle, native: ComputeNetwork) => Promise<T>,
  ): Promise<T> {
    const native = this.#load();
    const handle = handleOf('HcnOpenEndpoint', await native.openEndpoint(id));
    try {
      return await use(handle, native);
    } finally {
      await native.closeEndpoint(handle);
    }
  }
}

const errorRecord = z.object({ Error: z.string() });

function requireSuccess(call: string, { error, hresult }: NativeOutcome): void {
  if (hresult < 0x8000_0000) return;
  const record = errorRecord.safeParse(parseJson(error));
  throw new HnsError(call, hresult, record.success ? record.data.Error : undefined);
}

function textOf(call: string, answer: NativeText): string {
  requireSuccess(call, answer);
  if (answer.text === undefined) throw new HnsError(call, hnsResult.unexpectedAnswer, 'HNS gave no answer');
  return answer.text;
}

function handleOf<Handle>(call: string, opened: NativeOpened<Handle>): Handle {
  requireSuccess(call, opened);
  if (opened.handle === undefined) throw new HnsError(call, hnsResult.unexpectedAnswer, 'HNS gave no handle');
  return opened.handle;
}

const versionAnswer = z.object({
  Success: z.literal(true),
  Output: z.object({ Major: z.int().min(0), Minor: z.int().min(0) }),
});

/** The older interface wraps each answer. */
function versionIn(text: string): HnsVersion {
  const parsed = versionAnswer.safeParse(parseJson(text));
  if (!parsed.success) throw new HnsError('HNSCall', hnsResult.unexpectedAnswer, z.prettifyError(parsed.error));
  const { Major, Minor } = parsed.data.Output;
  return { major: Major, minor: Minor };
}

/** Undefined for text that is not JSON. */
function parseJson(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}
