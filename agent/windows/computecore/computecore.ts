// The binding of computecore.dll (hcs-runtime A): the only file that calls it. Two callbacks serve the whole process.
//
// A callback runs on the JavaScript thread, and the native thread that makes it waits. So every call that may wait for
// a callback or for the service runs on a thread of libuv's pool. Only two functions are called directly:
// HcsCreateOperation just allocates, and HcsGetOperationResult returns what a completed operation has. The JavaScript
// thread must never depend on all threads of the pool, so half of them stay free.
import koffi, { type LibraryHandle, type TypeObject } from 'koffi';
import { type WindowsLibraries, windowsLibraries } from '../system-library.ts';
import { ComputeCoreBackend } from './backend.ts';
import { type Export, type NativeFunctions, optionalExports, type Receiver } from './functions.ts';
import { ComputeCoreLibrary } from './library.ts';
import type { OperationHandle } from './native.ts';

/** kernel32 has LocalFree, which frees result documents. */
export type ComputeCorePaths = Pick<WindowsLibraries, 'computecore' | 'kernel32'>;

/** Close the backend before the process ends: a callback during Node's shutdown aborts the process. */
export function connectComputeCore(paths: ComputeCorePaths = windowsLibraries()): ComputeCoreBackend {
  const key = `${paths.computecore}\n${paths.kernel32}`;
  const library = libraries.get(key) ?? new ComputeCoreLibrary(new ComputeCoreFunctions(paths));
  libraries.set(key, library);
  return new ComputeCoreBackend(library);
}

/** Callbacks are registered once for the whole life of the process: HCS may call them at any time. */
const libraries = new Map<string, ComputeCoreLibrary>();

// --- signatures (hcs-runtime A.1, A.2) ----------------------------------------------------------------------------------

const pointer = koffi.pointer('void');
const handleOut = koffi.out(koffi.pointer(pointer));
const completionCallback = koffi.pointer(koffi.proto('__stdcall', null, 'void', [pointer, pointer]));
const eventCallback = koffi.pointer(koffi.proto('__stdcall', null, 'void', [pointer, pointer]));
const hcsEvent = koffi.struct({ Type: 'uint32_t', EventData: 'str16', Operation: pointer });

type Parameter = Parameters<LibraryHandle['func']>[3][number];
type Signature = readonly [result: Parameter, ...parameters: Parameter[]];

function signatures(textOut: Parameter) {
  return {
    HcsCreateOperation: [pointer, pointer, completionCallback],
    HcsCloseOperation: ['void', pointer],
    HcsCancelOperation: ['int32_t', pointer],
    HcsGetOperationResult: ['int32_t', pointer, textOut],
    HcsEnumerateComputeSystems: ['int32_t', 'str16', pointer],
    HcsCreateComputeSystem: ['int32_t', 'str16', 'str16', pointer, pointer, handleOut],
    HcsOpenComputeSystem: ['int32_t', 'str16', 'uint32_t', handleOut],
    HcsCloseComputeSystem: ['void', pointer],
    HcsSetComputeSystemCallback: ['int32_t', pointer, 'uint32_t', pointer, eventCallback],
    HcsStartComputeSystem: ['int32_t', pointer, pointer, 'str16'],
    HcsShutDownComputeSystem: ['int32_t', pointer, pointer, 'str16'],
    HcsTerminateComputeSystem: ['int32_t', pointer, pointer, 'str16'],
    HcsGetComputeSystemProperties: ['int32_t', pointer, pointer, 'str16'],
    HcsModifyComputeSystem: ['int32_t', pointer, pointer, 'str16', pointer],
    HcsGetServiceProperties: ['int32_t', 'str16', textOut],
    HcsGrantVmAccess: ['int32_t', 'str16', 'str16'],
    HcsRevokeVmAccess: ['int32_t', 'str16', 'str16'],
    // Available since Windows Server 2022.
    HcsWaitForComputeSystemExit: ['int32_t', pointer, 'uint32_t', textOut],
    HcsGrantVmGroupAccess: ['int32_t', 'str16'],
    HcsRevokeVmGroupAccess: ['int32_t', 'str16'],
  } as const satisfies Record<Export, Signature>;
}
type Functions = ReadonlyMap<Export, ReturnType<LibraryHandle['func']>>;

/** Names of koffi types are global, and each library frees memory with its own function. */
let textTypes = 0;

function bind(paths: ComputeCorePaths): Functions {
  const localFree = koffi.load(paths.kernel32).func('__stdcall', 'LocalFree', pointer, [pointer]);
  textTypes += 1;
  // The text is copied and then freed, whether or not the call succeeded (hcs-runtime A.3).
  const resultText: TypeObject = koffi.disposable(`HcsResultText${textTypes}`, 'str16', localFree);
  const library = koffi.load(paths.computecore);
  const functions = new Map<Export, ReturnType<LibraryHandle['func']>>();
  for (const [name, [result, ...parameters]] of entriesOf(signatures(koffi.out(koffi.pointer(resultText.name))))) {
    try {
      functions.set(name, library.func('__stdcall', name, result, parameters));
    } catch (error) {
      if (!isOptional(name)) throw error;
    }
  }
  if (process.platform === 'win32') pin(paths);
  return functions;
}

function isOptional(name: Export): boolean {
  return optionalExports.some((optional) => optional === name);
}

function entriesOf(table: Readonly<Record<string, Signature>>): [Export, Signature][] {
  return Object.entries(table) as [Export, Signature][];
}

/** Threads of HCS return through the library even while Node unloads it at its end, so it must stay mapped. */
function pin({ computecore, kernel32 }: ComputeCorePaths): void {
  const flagPin = 1;
  const getModuleHandle = koffi
    .load(kernel32)
    .func('__stdcall', 'GetModuleHandleExW', 'int', ['uint32_t', 'str16', koffi.out(koffi.pointer(pointer))]);
  if (getModuleHandle(flagPin, computecore, [null]) === 0) throw new Error(`cannot pin ${computecore}`);
}

// --- calls and callbacks ------------------------------------------------------------------------------------------------

class ComputeCoreFunctions implements NativeFunctions {
  readonly eventCallback: bigint;
  readonly #functions: Functions;
  readonly #completionCallback: bigint;
  #receiver: Receiver | undefined;

  constructor(paths: ComputeCorePaths) {
    this.#functions = bind(paths);
    this.#completionCallback = koffi.register(
      (_operation: unknown, context: unknown) => this.#completed(context),
      completionCallback,
    );
    this.eventCallback = koffi.register(
      (event: unknown, context: unknown) => this.#happened(event, context),
      eventCallback,
    );
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  has(name: Export): boolean {
    return this.#functions.has(name);
  }

  call(name: Export, ...parameters: unknown[]): Promise<unknown> {
    const { async: run } = this.#function(name);
    return new Promise((resolve, reject) => {
      run(...parameters, (error: unknown, result: unknown) => {
        if (error === null || error === undefined) resolve(result);
        else reject(error);
      });
    });
  }

  createOperation(context: bigint): OperationHandle | undefined {
    const operation: OperationHandle | null = this.#function('HcsCreateOperation')(context, this.#completionCallback);
    return operation ?? undefined;
  }

  operationResult(operation: OperationHandle, document: [string | null]): unknown {
    return this.#function('HcsGetOperationResult')(operation, document);
  }

  #function(name: Export): ReturnType<LibraryHandle['func']> {
    const found = this.#functions.get(name);
    if (found === undefined) throw new Error(`computecore.dll has no ${name}`);
    return found;
  }

  #completed(context: unknown): void {
    if (typeof context !== 'bigint') return;
    // After the callback has returned to HCS, which may hold a lock around it that the call for the result takes, too.
    setImmediate(() => this.#receiver?.completed(context));
  }

  #happened(event: unknown, context: unknown): void {
    if (typeof context !== 'bigint' || event === null) return;
    // The event's memory is valid only until the callback returns.
    const { Type, EventData }: { Type: number; EventData: string | null } = koffi.decode(event, hcsEvent);
    this.#receiver?.happened(context, { type: Type, data: EventData ?? undefined });
  }
}
