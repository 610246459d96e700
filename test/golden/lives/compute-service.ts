// The functions of computecore.dll as the recording's compute service has them (upstream-lives.md, "What the stand-ins do"):
// what is asked of it succeeds at once, unless the life says otherwise; a system that is terminated ends 60 ms later.
import type { Export, NativeFunctions, Receiver } from '../../../agent/windows/computecore/functions.ts';
import type { OperationHandle } from '../../../agent/windows/computecore/native.ts';
import type { Activity } from './activity.ts';
import { Faults } from './faults.ts';
import { type HostCall, isCall, type Life, type Setup } from './life.ts';
import { hexOf, type Operation, Operations, succeeded } from './operations.ts';

const operationTimeout = 0x8037_0118;
const alreadyExists = 0x8037_010f;
const notFound = 0x8037_010e;
const alreadyStopped = 0x8037_0110;
/** A call that was under way when its system was terminated. */
const terminated = 0x8037_0107;
const exitMilliseconds = 60;
const systemExited = 0x1;
const forcedExit = '{"Status":-1070137081,"ExitType":"ForcedExit"}';
export const runtimeId = '11112222-3333-4444-5555-666677778888';
const logicalProcessors = 16;

interface System {
  readonly id: string;
  state: 'Created' | 'Running' | 'Stopped';
  isTerminating: boolean;
  callback: bigint | undefined;
  isClosed: boolean;
  readonly pending: Set<Operation>;
}

/** Calls of a system, an operation and a text: what the text is called. */
const texts: Partial<Record<Export, string>> = {
  HcsStartComputeSystem: 'options',
  HcsShutDownComputeSystem: 'options',
  HcsTerminateComputeSystem: 'options',
  HcsGetComputeSystemProperties: 'query',
  HcsModifyComputeSystem: 'configuration',
};

export class ComputeService implements NativeFunctions {
  readonly eventCallback = 1n;
  readonly #life: Life;
  readonly #activity: Activity;
  readonly #faults = new Faults();
  readonly #operations: Operations;
  readonly #systems = new Map<unknown, System>();
  readonly #leftovers = new Set<string>();
  #receiver: Receiver | undefined;
  #lastHandle = 0n;
  /** The VM is gone, with all that it was connected to. */
  onExit: () => void = () => undefined;

  constructor(life: Life, activity: Activity) {
    this.#life = life;
    this.#activity = activity;
    this.#operations = new Operations(activity);
    this.#operations.onCompleted = (context) => this.#receiver?.completed(context);
  }

  receive(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  has(): boolean {
    return true;
  }

  createOperation(context: bigint): OperationHandle {
    return this.#operations.create(context);
  }

  operationResult(operation: OperationHandle, document: [string | null]): number {
    const { document: text, result } = this.#operations.get(operation);
    document[0] = text ?? null;
    return result;
  }

  async call(name: Export, ...parameters: unknown[]): Promise<unknown> {
    this.#activity.noted();
    const result = this.#run(name, parameters);
    // As if it came back from another thread.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#activity.noted();
    return result | 0;
  }

  // --- what the life says -----------------------------------------------------------------------------------------------

  fail(setup: Setup): void {
    this.#faults.plan(setup);
  }

  /** The VM has been told to end and is about to. */
  get isTerminating(): boolean {
    return [...this.#systems.values()].some((system) => system.isTerminating || system.state === 'Stopped');
  }

  get hasExited(): boolean {
    return [...this.#systems.values()].some(({ state }) => state === 'Stopped');
  }

  tell(type: number, data: string | undefined): void {
    for (const system of this.#systems.values()) {
      if (type === systemExited) this.#exit(system, data ?? forcedExit);
      else this.#happened(system, type, data);
    }
  }

  /** Everything comes back: the life is over. */
  finish(): void {
    for (const system of this.#systems.values()) this.#breakOff(system);
  }

  // --- calls ------------------------------------------------------------------------------------------------------------

  #run(name: Export, parameters: readonly unknown[]): number {
    switch (name) {
      case 'HcsCloseOperation':
        this.#operations.close(parameters[0]);
        return succeeded;
      case 'HcsCreateComputeSystem':
        return this.#create(parameters);
      case 'HcsOpenComputeSystem':
        return this.#open(parameters);
      case 'HcsSetComputeSystemCallback':
        return this.#setCallback(parameters);
      case 'HcsCloseComputeSystem':
        this.#activity.record({ by: 'host', call: name, args: {} });
        this.#system(parameters[0]).isClosed = true;
        return succeeded;
      case 'HcsEnumerateComputeSystems':
        return this.#enumerate(parameters);
      case 'HcsGetServiceProperties':
        return this.#serviceProperties(parameters);
      case 'HcsWaitForComputeSystemExit':
        this.#recorded(name, {});
        writeOut(parameters.at(-1), forcedExit);
        return succeeded;
      case 'HcsGrantVmAccess':
      case 'HcsRevokeVmAccess':
        return this.#access(name, { vmId: parameters[0], path: parameters[1] });
      case 'HcsGrantVmGroupAccess':
      case 'HcsRevokeVmGroupAccess':
        return this.#access(name, { path: parameters[0] });
      default:
        return this.#onSystem(name, parameters);
    }
  }

  #create([id, configuration, operation, , out]: readonly unknown[]): number {
    const call = 'HcsCreateComputeSystem';
    const step = this.#recorded(call, { id, configuration });
    const fault = this.#faults.take(call, String(configuration));
    if (fault?.when === 'call') return this.#refuse(operation, step, fault);
    const system = this.#newSystem(String(id), out);
    this.#carryOut(system, operation, step, fault, () => undefined);
    return succeeded;
  }

  /** What another process left behind, as far as the life tells that there is something. */
  #open([id, , out]: readonly unknown[]): number {
    const step = this.#recorded('HcsOpenComputeSystem', { id });
    const code = this.#leftovers.has(String(id)) ? succeeded : notFound;
    step.result = hexOf(code);
    if (code === succeeded) this.#newSystem(String(id), out);
    return code;
  }

  #newSystem(id: string, out: unknown): System {
    this.#lastHandle += 1n;
    const system: System = {
      id,
      state: 'Created',
      isTerminating: false,
      callback: undefined,
      isClosed: false,
      pending: new Set(),
    };
    this.#systems.set(this.#lastHandle, system);
    writeOut(out, this.#lastHandle);
    return system;
  }

  #enumerate([query, operation]: readonly unknown[]): number {
    const step = this.#recorded('HcsEnumerateComputeSystems', { query });
    this.#operations.complete(this.#operations.begin(operation, step), succeeded, '[]');
    return succeeded;
  }

  #setCallback([handle, options, context]: readonly unknown[]): number {
    const call = 'HcsSetComputeSystemCallback';
    const step = this.#recorded(call, { options });
    const fault = this.#faults.take(call, '');
    if (fault === undefined && typeof context === 'bigint') this.#system(handle).callback = context;
    const code = fault === undefined ? succeeded : Number(fault.result);
    step.result = hexOf(code);
    return code;
  }

  #serviceProperties([query, out]: readonly unknown[]): number {
    const call = 'HcsGetServiceProperties';
    const step = this.#recorded(call, { query });
    const fault = this.#faults.take(call, String(query));
    const code = fault === undefined ? succeeded : Number(fault.result);
    step.result = hexOf(code);
    writeOut(out, fault === undefined ? topology : (fault.document ?? null));
    return code;
  }

  #access(call: Export, args: Readonly<Record<string, unknown>>): number {
    const step = this.#recorded(call, { ...args });
    const recordedAs = call === 'HcsGrantVmAccess' ? 'vmcompute!GrantVmAccess' : call;
    const fault = this.#faults.take(recordedAs, String(args['path']));
    const code = fault === undefined ? succeeded : Number(fault.result);
    step.result = hexOf(code);
    return code;
  }

  #onSystem(call: Export, parameters: readonly unknown[]): number {
    const member = texts[call];
    if (member === undefined) throw new Error(`the recording has no ${call}`);
    const [handle, operation, text] = parameters;
    const system = this.#system(handle);
    const step = this.#recorded(call, { [member]: text });
    const fault = this.#faults.take(call, String(text)) ?? this.#refusalOf(call, system);
    if (fault?.when === 'call') return this.#refuse(operation, step, fault);
    this.#carryOut(system, operation, step, fault, () => this.#effect(call, system, String(text)));
    return succeeded;
  }

  #refusalOf(call: Export, system: System): Setup | undefined {
    if (system.state !== 'Stopped' || call === 'HcsGetComputeSystemProperties') return undefined;
    return { by: 'setup', fails: call, result: hexOf(alreadyStopped), when: 'call' };
  }

  /** What a call does that succeeds; the document that comes of it. */
  #effect(call: Export, system: System, text: string): string | undefined {
    if (call === 'HcsStartComputeSystem') system.state = 'Running';
    if (call === 'HcsGetComputeSystemProperties') return this.#properties(system, text);
    if (call === 'HcsTerminateComputeSystem' || call === 'HcsShutDownComputeSystem') this.#terminate(system);
    return undefined;
  }

  #terminate(system: System): void {
    if (system.isTerminating) return;
    system.isTerminating = true;
    this.#activity.clock.after(exitMilliseconds, () => this.#exit(system, forcedExit));
  }

  #exit(system: System, data: string): void {
    if (system.state === 'Stopped') return;
    system.state = 'Stopped';
    this.#leftovers.delete(system.id);
    this.#breakOff(system);
    this.#happened(system, systemExited, data);
    this.onExit();
  }

  #happened(system: System, type: number, data: string | undefined): void {
    this.#activity.noted();
    if (system.callback !== undefined && !system.isClosed) this.#receiver?.happened(system.callback, { type, data });
  }

  /** Terminating is what makes a hanging call come back. */
  #breakOff(system: System): void {
    for (const operation of system.pending) this.#operations.complete(operation, terminated);
    system.pending.clear();
  }

  #carryOut(
    system: System,
    handle: unknown,
    step: HostCall,
    fault: Setup | undefined,
    effect: () => string | undefined,
  ): void {
    const operation = this.#operations.begin(handle, step);
    if (fault === undefined) {
      this.#operations.complete(operation, succeeded, effect());
      return;
    }
    const code = Number(fault.result);
    this.#noteLeftover(step, code);
    // One that does not come back within its limit.
    if (code === operationTimeout) system.pending.add(operation);
    else this.#operations.complete(operation, code, fault.document);
  }

  #refuse(handle: unknown, step: HostCall, { document, result }: Setup): number {
    const code = Number(result);
    this.#noteLeftover(step, code);
    this.#operations.refuse(handle, step, code, document);
    return code;
  }

  /** An id that HCS knows is that of a system which somebody left behind. */
  #noteLeftover({ args, call }: HostCall, code: number): void {
    if (call === 'HcsCreateComputeSystem' && code === alreadyExists) this.#leftovers.add(String(args['id']));
  }

  // --- look-ups ---------------------------------------------------------------------------------------------------------

  #recorded(call: string, args: Record<string, unknown>): HostCall {
    return this.#activity.record({ by: 'host', call, args });
  }

  /** What the recording answered to this query, of a system that is as it is now. */
  #properties({ id, state }: System, query: string): string {
    const answers = this.#life.steps
      .filter(isCall)
      .filter(({ args, call }) => call === 'HcsGetComputeSystemProperties' && args['query'] === query);
    const recorded = answers.find(({ operation }) => operation?.document !== undefined)?.operation?.document;
    if (recorded !== undefined && (state === 'Created' || query !== '{}')) return recorded;
    const properties = { Id: id, SystemType: 'VirtualMachine', RuntimeOsType: 'Linux', RuntimeId: runtimeId };
    return JSON.stringify({ ...properties, State: state, ...(state === 'Stopped' && { Stopped: true }) });
  }

  #system(handle: unknown): System {
    const found = this.#systems.get(handle);
    if (found === undefined) throw new Error('the agent used a handle of no system');
    return found;
  }
}

const topology = JSON.stringify({
  Properties: [
    {
      LogicalProcessorCount: logicalProcessors,
      LogicalProcessors: Array.from({ length: logicalProcessors }, (_, number) => ({ LpIndex: number, NodeNumber: 0 })),
    },
  ],
});

function writeOut(out: unknown, value: unknown): void {
  if (Array.isArray(out)) out[0] = value;
}
