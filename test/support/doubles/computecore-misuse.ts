// Misuses the computecore double in the way that the first argument names; the second one is the library. A separate
// process, because the double ends it.
import koffi from 'koffi';

const [, , misuse, path = ''] = process.argv;
const library = koffi.load(path);
const pointer = koffi.pointer('void');
const handleOut = koffi.out(koffi.pointer(pointer));
const callback = koffi.pointer(koffi.proto('__stdcall', null, 'void', [pointer, pointer]));
const createOperation = library.func('HcsCreateOperation', pointer, [pointer, callback]);
const closeOperation = library.func('HcsCloseOperation', 'void', [pointer]);
const result = library.func('HcsGetOperationResult', 'int32_t', [pointer, handleOut]);
const createSystem = library.func('HcsCreateComputeSystem', 'int32_t', [
  ...['str16', 'str16', pointer, pointer],
  handleOut,
]);
const closeSystem = library.func('HcsCloseComputeSystem', 'void', [pointer]);
const start = library.func('HcsStartComputeSystem', 'int32_t', [pointer, pointer, 'str16']);
const listen = library.func('HcsSetComputeSystemCallback', 'int32_t', [pointer, 'uint32_t', pointer, callback]);
const enumerate = library.func('HcsEnumerateComputeSystems', 'int32_t', ['str16', pointer]);
const localFree = library.func('LocalFree', pointer, [pointer]);
const script = library.func('DoubleScript', 'void', ['str16', 'uint32_t', 'uint32_t', 'uint32_t', 'str16']);
const exit = library.func('DoubleExit', 'int32_t', ['str16', 'str16', 'int32_t']);
const [delay, hold] = [3, 4];

/** Lets native threads run. Without a callback they do not need this thread. */
function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function newOperation(): bigint {
  return createOperation(null, null);
}

function newSystem(): bigint {
  const out: [bigint] = [0n];
  const operation = newOperation();
  createSystem('id', '{"VirtualMachine":{}}', operation, null, out);
  pause(50);
  closeOperation(operation);
  return out[0];
}

function newResult(): bigint {
  const out: [bigint] = [0n];
  const operation = newOperation();
  enumerate('{}', operation);
  pause(50);
  result(operation, out);
  return out[0];
}

const misuses: Readonly<Record<string, () => void>> = {
  'closes an operation twice': () => {
    const operation = newOperation();
    closeOperation(operation);
    closeOperation(operation);
  },
  'takes an operation for a system': () => closeSystem(newOperation()),
  'takes a system for an operation': () => closeOperation(newSystem()),
  'makes a handle up': () => closeSystem(0x7772n),
  'uses a closed system': () => {
    const system = newSystem();
    closeSystem(system);
    start(system, newOperation(), '');
  },
  'closes a running operation': () => {
    const operation = newOperation();
    script('HcsEnumerateComputeSystems', 1, hold, 0, null);
    enumerate('{}', operation);
    closeOperation(operation);
  },
  'closes a system under a running operation': () => {
    const system = newSystem();
    script('HcsStartComputeSystem', 1, delay, 1000, null);
    start(system, newOperation(), '');
    closeSystem(system);
  },
  'frees a text twice': () => {
    const text = newResult();
    localFree(text);
    localFree(text);
  },
  'frees what is no text': () => localFree(0x1234n),
  'closes on the thread that its callback needs': () => {
    const system = newSystem();
    listen(
      system,
      0,
      null,
      koffi.register(() => {}, callback),
    );
    exit('id', 'GracefulExit', 0);
    pause(50);
    closeSystem(system);
  },
  nothing: () => {
    const text = newResult();
    localFree(text);
    closeSystem(newSystem());
  },
};

const run = misuses[misuse ?? ''];
if (run === undefined) throw new Error(`unknown misuse: ${misuse}`);
run();
