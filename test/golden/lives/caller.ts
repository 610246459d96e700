// What the caller of the original asks for, in terms of this agent: by the VM's manifest where one can say it, else by the
// modules that the agent has for it.
import { z } from 'zod';
import type { MachineState } from '../../../agent/vm/states.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { type ArgsOf, type CallName, callArgs, isCallName } from './call-args.ts';
import { CallerChanges } from './caller-changes.ts';
import { CallerDevices } from './caller-devices.ts';
import { optionsOf } from './caller-options.ts';
import { CallerProcesses } from './caller-processes.ts';
import { type CallerCall, type HostStep, isCall, type Life, LifeFormatError } from './life.ts';
import type { LifeAgent } from './life-agent.ts';
import { endpointsTold, inOrder } from './network.ts';
import { codeOf, doneOnce, type Outcome, outcomeOf, type Pending, refusal, troubleOf } from './outcome.ts';

/** There was nothing left to terminate. */
const alreadyStopped = '0x80370110';
/** Where an attempt goes that has come to nothing. */
const failing: ReadonlySet<MachineState> = new Set(['Stopping', 'Draining', 'Cleaning']);

export class Caller {
  readonly #life: Life;
  readonly #agent: LifeAgent;
  readonly #options: RequestedOptions;
  readonly #processes: CallerProcesses;
  readonly #devices: CallerDevices;
  readonly #changes: CallerChanges;

  /** Throws a `LifeFormatError` for options that no manifest has. */
  constructor(life: Life, agent: LifeAgent) {
    this.#life = life;
    this.#agent = agent;
    this.#options = optionsOf(life);
    this.#processes = new CallerProcesses(agent);
    this.#devices = new CallerDevices(this.#options, agent);
    this.#changes = new CallerChanges(agent, this.#devices);
  }

  /** Throws a `LifeFormatError` for a call that this agent has nothing for. */
  begin({ args, call }: CallerCall, index: number): Pending {
    if (isCallName(call)) return this.#begin(call, args);
    throw new LifeFormatError(`life '${this.#life.name}', steps.${index}.call: no call of this name is known: ${call}`);
  }

  #begin<Name extends CallName>(name: Name, args: unknown): Pending {
    // It was parsed when the file was read.
    return this.#calls[name](z.custom<ArgsOf<Name>>().parse(callArgs[name].parse(args)));
  }

  readonly #calls: { readonly [Name in CallName]: (args: ArgsOf<Name>) => Pending } = {
    create: () => this.#create(),
    start: () => this.#start(),
    wait: () => this.#wait(),
    terminate: () => this.#terminate(),
    close: () => this.#close(),
    exec: (args) => outcomeOf(() => this.#processes.exec(args)),
    kill: () => doneOnce(() => this.#processes.kill()),
    // A guest refuses to resize what is no container's, so nobody asks for it.
    resize: () => () => ({ ok: true }),
    dumpStacks: () => outcomeOf(async () => ({ ok: true, got: { stacks: await this.#agent.run.dumpStacks() } })),
    statistics: () => outcomeOf(() => this.#statistics()),
    update: (args) => this.#changes.update(args),
    updateMemory: ({ mib }) => this.#changes.change({ MemorySizeInMB: mib }),
    updateCPU: (args) => this.#changes.updateProcessor(args),
    setCPUGroup: ({ id }) => this.#changes.change({ CPUGroupID: id }),
    releaseCPUGroup: () => this.#changes.change({ CPUGroupID: '' }),
    addDisk: (args) => this.#changes.addDisk(args),
    removeDisk: () => this.#changes.removeDisk(),
    addPlan9: (args) => doneOnce(() => this.#devices.addShare(args)),
    removePlan9: () => doneOnce(() => this.#devices.removeShare()),
    addVPMem: ({ hostPath }) => doneOnce(() => this.#devices.addImage(hostPath)),
    removeVPMem: () => doneOnce(() => this.#devices.removeImage()),
    addNetwork: ({ endpoints }) => doneOnce(() => this.#devices.addAdapters(inOrder(endpoints))),
    removeNetwork: () => doneOnce(() => this.#devices.removeAdapters()),
    setUpNetwork: () => doneOnce(() => this.#devices.addAdapters(endpointsTold(this.#life.steps))),
    tearDownNetwork: () => doneOnce(() => this.#devices.removeAdapters()),
    assignDevice: (args) => doneOnce(() => this.#devices.assignDevice(args)),
    removeDevice: () => doneOnce(() => this.#devices.removeDevice()),
    setSocketService: ({ id }) => doneOnce(() => this.#devices.setSocketService(id)),
    removeSocketService: ({ id }) => doneOnce(() => this.#devices.removeSocketService(id)),
    policyFragment: (args) => doneOnce(() => this.#devices.sendFragment(args)),
  };

  /** An agent that is refused tries again later; this caller does not. */
  #boot(isUp: () => boolean): Pending {
    const agent = this.#agent;
    return () => {
      if (isUp()) return { ok: true };
      const attempt = agent.states.slice(agent.states.lastIndexOf('Preparing'));
      const hasFailed = attempt.some((state) => failing.has(state));
      if (!hasFailed && !agent.isOver) return undefined;
      const failed = troubleOf(agent);
      agent.want(agent.wanted, 'Halted');
      return failed;
    };
  }

  #create(): Pending {
    this.#agent.want(this.#options, 'Once');
    return this.#boot(() => this.#agent.journal.isHolding);
  }

  #start(): Pending {
    this.#agent.journal.start();
    return this.#boot(() => this.#agent.state === 'Running');
  }

  /** The exit of the VM as its status has it. */
  #wait(): Pending {
    const agent = this.#agent;
    return () => {
      const { lastExit } = agent.observe() ?? {};
      const isOver = agent.isOver || agent.state === 'Idle' || agent.state === 'Cleaning';
      if (lastExit === undefined) return isOver ? { ok: true } : undefined;
      return lastExit.type === 'UnexpectedExit' ? refusal(lastExit.message) : { ok: true };
    };
  }

  #terminate(): Pending {
    const agent = this.#agent;
    const { steps } = agent.activity;
    const before = steps.length;
    agent.want(agent.wanted, 'Halted');
    agent.journal.start();
    const isController = this.#life.api === 'controller';
    return () => {
      if (agent.isOver || agent.state === 'Idle' || agent.state === 'Cleaning') return { ok: true };
      return isController ? undefined : terminationIn(steps.slice(before), agent.service.hasExited);
    };
  }

  #close(): Pending {
    const agent = this.#agent;
    agent.release();
    agent.journal.start();
    return () => (agent.isOver ? { ok: true } : undefined);
  }

  async #statistics(): Promise<Outcome> {
    const { assignedMemoryBytes, processorSeconds = 0 } = (await this.#agent.machine.statistics()) ?? {};
    const cpuNanoseconds = Math.round(processorSeconds * 1e9);
    return { ok: true, got: { cpuNanoseconds, workingSetBytes: assignedMemoryBytes } };
  }
}

/** What the latest request to terminate came to. */
function terminationIn(steps: readonly HostStep[], hasExited: boolean): Outcome | undefined {
  const requests = steps.filter(isCall).filter(({ call }) => call === 'HcsTerminateComputeSystem');
  const result = requests.at(-1)?.operation?.result;
  if (result === undefined) return hasExited ? { ok: true } : undefined;
  const code = codeOf(result);
  return code === undefined || code === alreadyStopped ? { ok: true } : { ok: false, code };
}
