// What goes wrong at the steps of a simulated host: calls of HCS, calls that concern files, and the life of guests.
import { hresult } from '../../../agent/node/hcs-error.ts';
import { type Clock, delay } from '../../../runtime/clock.ts';
import type { Step, Subject, Verdict, Visiting } from '../../../simulator/wire/script.ts';
import type { FaultDraws } from './faults.ts';

const proceed: Verdict = { kind: 'proceed' };

const hcsSteps: ReadonlySet<Step> = new Set([
  'processorTopology',
  'enumerate',
  'create',
  'open',
  'start',
  'shutdown',
  'terminate',
  'modify',
  'properties',
  'grantVm',
  'revokeVm',
]);
const fileSteps: ReadonlySet<Step> = new Set(['facts', 'stat', 'read', 'openFile', 'copy', 'delete', 'grant']);
/** The calls on a system that can hang. */
const hangingSteps: ReadonlySet<Step> = new Set(['create', 'start', 'shutdown', 'modify', 'properties']);
/** The calls that change nothing, and can hang. */
const querySteps: ReadonlySet<Step> = new Set([
  'processorTopology',
  'enumerate',
  'open',
  'facts',
  'stat',
  'openFile',
  'read',
]);
/** Calls that concern no system hang until nothing goes wrong any more. */
const noSystem = '';
const connectingSteps: ReadonlySet<Step> = new Set(['entropy', 'log', 'bridge']);
const bootSteps: ReadonlySet<Step> = new Set(['entropy', 'log', 'bridge', 'negotiate']);

const codes = {
  /** E_FAIL, RPC_S_CALL_FAILED, HCS_E_CONNECTION_TIMEOUT. */
  failing: [0x8000_4005, 0x8007_06be, 0x8037_0109],
  /** ERROR_COMMITMENT_LIMIT, ERROR_NO_SYSTEM_RESOURCES, E_OUTOFMEMORY, and a status of the driver of VM memory. */
  capacity: [hresult.commitmentLimit, hresult.noSystemResources, hresult.outOfMemory, 0xc037_002c],
  denied: 0x8007_0005,
  invalidArgument: 0x8007_0057,
} as const;

/** Some are longer than any bound of the agent. */
const slowCallSeconds = [2, 10, 40, 120, 300];

export interface FaultStepsOptions {
  readonly draws: FaultDraws;
  readonly clock: Clock;
  /** A system is being started. */
  readonly starting: (system: string) => void;
  readonly guestUp: (system: string) => void;
}

export class FaultSteps implements Visiting {
  readonly #draws: FaultDraws;
  readonly #clock: Clock;
  readonly #options: FaultStepsOptions;
  /** Calls that hang, by the id of their system. */
  readonly #hanging = new Map<string, Set<() => void>>();
  /** Systems whose guest is up. */
  readonly #up = new Set<string>();

  constructor(options: FaultStepsOptions) {
    this.#draws = options.draws;
    this.#clock = options.clock;
    this.#options = options;
  }

  async visit(step: Step, subject: Subject, signal?: AbortSignal): Promise<Verdict> {
    const { system = '' } = subject;
    if (step === 'start') this.#begin(system);
    if (step === 'running') this.#come(system);
    if (step === 'terminate') this.ended(system);
    if (querySteps.has(step) && this.#draws.happens('hangingQuery')) await this.#hang(noSystem, undefined);
    if (step === 'enumerate' && this.#draws.happens('slowEnumeration')) {
      await delay(this.#clock, this.#draws.chance('slowEnumeration').integer(60_000), signal);
    }
    if (hcsSteps.has(step)) return await this.#callHcs(step, system, signal);
    if (fileSteps.has(step)) return await this.#callForFile(step);
    return await this.#liveGuest(step, system, signal);
  }

  #begin(system: string): void {
    this.#up.delete(system);
    this.#options.starting(system);
  }

  #come(system: string): void {
    this.#up.add(system);
    this.#options.guestUp(system);
  }

  /** The calls on the system that hang return. */
  ended(system: string): void {
    for (const resume of this.#hanging.get(system) ?? []) resume();
    this.#hanging.delete(system);
  }

  /** No call hangs any more. */
  release(): void {
    for (const system of [...this.#hanging.keys()]) this.ended(system);
  }

  async #callHcs(step: Step, system: string, signal: AbortSignal | undefined): Promise<Verdict> {
    const draws = this.#draws;
    if (draws.happens('slowCall')) {
      const chance = draws.chance('slowCall');
      await delay(this.#clock, 1000 * chance.pick(slowCallSeconds) * (0.5 + chance.number()), signal);
    }
    if (hangingSteps.has(step) && draws.happens('hangingCall')) {
      await this.#hang(system, signal);
      if (draws.isEnabled('hangingCall'))
        return failed(hresult.alreadyStopped, 'the call did not return before the system ended');
    }
    return this.#failingCall(step);
  }

  #failingCall(step: Step): Verdict {
    const draws = this.#draws;
    if ((step === 'create' || step === 'start') && draws.happens('lackingCapacity')) {
      return failed(draws.chance('lackingCapacity').pick(codes.capacity), 'not enough resources');
    }
    if (step === 'create' && draws.happens('refusedDocument')) return failed(codes.invalidArgument, 'refused');
    if (draws.happens('deniedCall')) return failed(codes.denied, 'access is denied');
    if (draws.happens('timedOutCall')) return failed(hresult.operationTimeout, 'the service did not answer');
    if (draws.happens('failingCall')) return failed(draws.chance('failingCall').pick(codes.failing), 'the call failed');
    return proceed;
  }

  async #callForFile(step: Step): Promise<Verdict> {
    const draws = this.#draws;
    if (draws.happens('slowFileCall')) {
      await delay(this.#clock, draws.chance('slowFileCall').integer(60_000));
    }
    if (!draws.happens('failingFileCall')) return proceed;
    const message = step === 'copy' ? 'There is not enough space on the disk.' : 'The device is not ready.';
    return { kind: 'fail', hresult: undefined, message };
  }

  async #liveGuest(step: Step, system: string, signal: AbortSignal | undefined): Promise<Verdict> {
    const draws = this.#draws;
    if (draws.happens('slowGuest')) await delay(this.#clock, draws.chance('slowGuest').integer(30_000), signal);
    const isBooting = bootSteps.has(step) && !this.#up.has(system);
    if (isBooting && draws.happens('hangingBoot')) await aborted(signal);
    if (connectingSteps.has(step) && draws.happens('refusedConnection')) return refused('connection refused');
    const isRequest = step === 'guestModify' || step === 'guestExec' || step === 'negotiate';
    if (isRequest && draws.happens('refusingGuest')) return refused('the guest is out of order');
    return proceed;
  }

  /** Rejects when the signal aborts. */
  #hang(system: string, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const hanging = this.#hanging.get(system) ?? new Set();
    this.#hanging.set(system, hanging.add(resolve));
    const abort = () => {
      hanging.delete(resolve);
      reject(signal?.reason);
    };
    if (signal?.aborted === true) abort();
    signal?.addEventListener('abort', abort, { once: true });
    return promise;
  }
}

function failed(code: number, message: string): Verdict {
  return { kind: 'fail', hresult: code, message };
}

function refused(message: string): Verdict {
  return { kind: 'fail', hresult: undefined, message };
}

function aborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
