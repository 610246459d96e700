// Misuses the computenetwork double in the way that the first argument names; the second one is the library. A separate
// process, because the double ends it.
import koffi from 'koffi';

const [, , misuse, path = ''] = process.argv;
const library = koffi.load(path);
const pointer = koffi.pointer('void');
const out = koffi.out(koffi.pointer(pointer));
const id = Buffer.alloc(16, 7);
const makeNetwork = library.func('DoubleNetwork', 'void', [pointer, 'str16', 'str16', 'str16', 'int32_t']);
const openNetwork = library.func('HcnOpenNetwork', 'int32_t', [pointer, out, out]);
const closeNetwork = library.func('HcnCloseNetwork', 'int32_t', [pointer]);
const properties = library.func('HcnQueryNetworkProperties', 'int32_t', [pointer, 'str16', out, out]);
const closeEndpoint = library.func('HcnCloseEndpoint', 'int32_t', [pointer]);
const list = library.func('HcnEnumerateNetworks', 'int32_t', ['str16', out, out]);
const free = library.func('CoTaskMemFree', 'void', [pointer]);
const script = library.func('DoubleScript', 'void', ['str16', 'uint32_t', 'uint32_t', 'uint32_t', 'str16']);
const hold = 4;
const query = '{"SchemaVersion":{"Major":2}}';

function newNetwork(): bigint {
  const handle: [bigint] = [0n];
  makeNetwork(id, 'nat', 'NAT', '10.0.0.0/8', 0);
  openNetwork(id, handle, [null]);
  return handle[0];
}

function newText(): bigint {
  const text: [bigint] = [0n];
  list(query, text, [null]);
  return text[0];
}

const misuses: Readonly<Record<string, () => void>> = {
  'closes a network twice': () => {
    const network = newNetwork();
    closeNetwork(network);
    closeNetwork(network);
  },
  'takes a network for an endpoint': () => closeEndpoint(newNetwork()),
  'makes a handle up': () => closeNetwork(0x7773n),
  'uses a closed network': () => {
    const network = newNetwork();
    closeNetwork(network);
    properties(network, query, [null], [null]);
  },
  'closes a network under a running call': () => {
    const network = newNetwork();
    script('HcnQueryNetworkProperties', 1, hold, 0, null);
    properties.async(network, query, [null], [null], () => undefined);
    // Lets the call begin, on another thread.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
    closeNetwork(network);
  },
  'frees a text twice': () => {
    const text = newText();
    free(text);
    free(text);
  },
  'frees what is no text': () => free(0x1234n),
  nothing: () => {
    free(newText());
    closeNetwork(newNetwork());
  },
};

const run = misuses[misuse ?? ''];
if (run === undefined) throw new Error(`unknown misuse: ${misuse}`);
run();
