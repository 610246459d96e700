// What the caller of the original asks for, in terms of this agent: by the VM's manifest where one can say it, else by the
// modules that the agent has for it.
import { z } from 'zod';
import type { MachineState } from '../../../agent/machine-states.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';
import { CallerChanges } from './caller-changes.ts';
import { CallerDevices } from './caller-devices.ts';
import { optionsOf } from './caller-options.ts';
import { CallerProcesses } from './caller-processes.ts';
import type { CallerCall, CallName, Life } from './life.ts';
import type { LifeAgent } from './life-agent.ts';
import { endpointsOf, endpointsToldOf } from './network.ts';
import { codeOf, doneOnce, type Outcome, outcomeOf, type Pending, refusal, troubleOf } from './outcome.ts';

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

  begin(call: CallerCall): Pending {
    return this.#calls[call.call](call);
  }

  readonly #calls: Readonly<Record<CallName, (call: CallerCall) => Pending>> = {
    create: () => this.#create(),
    start: () => this.#start(),
    wait: () => this.#wait(),
    terminate: () => this.#terminate(),
    close: () => this.#close(),
    exec: (call) => outcomeOf(() => this.#processes.exec(call)),
    kill: () => doneOnce(() => this.#processes.kill()),
    // A guest refuses to resize what is no container's, so nobody asks for it.
    resize: () => () => ({ ok: true }),
    dumpStacks: () => outcomeOf(async () => ({ ok: true, got: { stacks: await this.#agent.run.dumpStacks() } })),
    statistics: () => outcomeOf(() => this.#statistics()),
    update: (call) => this.#changes.update(call),
    updateMemory: ({ args }) => this.#changes.change({ MemorySizeInMB: z.object({ mib: z.int() }).parse(args).mib }),
    updateCPU: (call) => this.#changes.updateProcessor(call),
    setCPUGroup: ({ args }) => this.#changes.change({ CPUGroupID: z.object({ id: z.string() }).parse(args).id }),
    releaseCPUGroup: () => this.#changes.change({ CPUGroupID: '' }),
    addDisk: (call) => this.#changes.addDisk(call),
    removeDisk: () => this.#changes.removeDisk(),
    addPlan9: (call) => doneOnce(() => this.#devices.addShare(call)),
    removePlan9: () => doneOnce(() => this.#devices.removeShare()),
    addVPMem: (call) => doneOnce(() => this.#devices.addImage(call)),
    removeVPMem: () => doneOnce(() => this.#devices.removeImage()),
    addNetwork: (call) => doneOnce(() => this.#devices.addAdapters(endpointsOf(call))),
    removeNetwork: () => doneOnce(() => this.#devices.removeAdapters()),
    setUpNetwork: (call) => doneOnce(() => this.#devices.addAdapters(endpointsToldOf(call, this.#life.steps))),
    tearDownNetwork: () => doneOnce(() => this.#devices.removeAdapters()),
    assignDevice: (call) => doneOnce(() => this.#devices.assignDevice(call)),
    removeDevice: () => doneOnce(() => this.#devices.removeDevice()),
    setSocketService: (call) => doneOnce(() => this.#devices.setSocketService(call)),
    removeSocketService: (call) => doneOnce(() => this.#devices.removeSocketService(call)),
    policyFragment: (call) => doneOnce(() => this.#devices.sendFragment(call)),
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
      if (isController) return undefined;
      const requests = steps
        .slice(before)
        .flatMap((step) => ('call' in step && step.call === 'HcsTerminateComputeSystem' ? [step] : []));
      const result = requests.at(-1)?.operation?.result;
      if (result === undefined) return agent.service.hasExited ? { ok: true } : undefined;
      return codeOf(result) === undefined ? { ok: true } : { ok: false, code: codeOf(result) };
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
