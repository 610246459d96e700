// Plays a life: its caller, compute service and guest do to this agent what they did to the original, each step once
// everybody has come to rest after the one before.

import type { MachineState } from '../../../agent/vm/states.ts';
import { Caller } from './caller.ts';
import type { CallerReturn, GuestCall, GuestFrame, HostStep, Life, Step } from './life.ts';
import { LifeAgent } from './life-agent.ts';
import type { Outcome, Pending } from './outcome.ts';

const minute = 60_000;
/** For which a caller waits that got its answer from the original. */
const patience = 10 * minute;
/** For which the original was waited for when it did not come back. */
const hangs = 25_000;
const redialMilliseconds = 300;
/** Until the agent has ended a VM that the original ended by then. */
const endingPatience = 5 * minute;

const restful: ReadonlySet<MachineState> = new Set(['Unknown', 'Idle', 'Creating', 'Starting', 'Running', 'Forgotten']);

/** How a call came back in both. */
export interface Returned {
  readonly call: string;
  readonly expected: CallerReturn;
  readonly expectedGot: Readonly<Record<string, unknown>> | undefined;
  /** Undefined: it did not come back. */
  readonly outcome: Outcome | undefined;
  /** Index of its step. */
  readonly index: number;
}

export interface Played {
  /** What this agent did, in order. */
  readonly steps: readonly HostStep[];
  readonly returned: readonly Returned[];
  readonly drawn: readonly string[];
  /** How many steps it had done when each step of the life was played. */
  readonly marks: readonly number[];
}

export async function play(life: Life): Promise<Played> {
  const agent = await LifeAgent.start(life);
  try {
    const player = new Player(life, agent);
    await player.play();
    const { marks, returned } = player;
    return { steps: structuredClone(agent.activity.steps), returned, drawn: agent.drawn, marks };
  } finally {
    await agent.stop();
  }
}

class Player {
  readonly returned: Returned[] = [];
  readonly marks: number[] = [];
  readonly #life: Life;
  readonly #agent: LifeAgent;
  readonly #caller: Caller;
  readonly #pending = new Map<string, Pending>();
  #got: Readonly<Record<string, unknown>> | undefined;

  constructor(life: Life, agent: LifeAgent) {
    this.#life = life;
    this.#agent = agent;
    this.#caller = new Caller(life, agent);
  }

  async play(): Promise<void> {
    for (const [index, step] of this.#life.steps.entries()) {
      this.#agent.guest.at(index);
      await this.#agent.activity.settle();
      this.marks.push(this.#agent.activity.steps.length);
      await this.#playStep(step, index);
    }
    await this.#atRest();
  }

  /** An agent ends by itself what it has begun; that belongs to the life, too. */
  async #atRest(): Promise<void> {
    const { activity } = this.#agent;
    await activity.until(() => restful.has(this.#agent.state) || this.#agent.isOver, endingPatience);
    await activity.settle();
  }

  async #playStep(step: Step, index: number): Promise<void> {
    switch (step.by) {
      case 'setup':
        this.#agent.service.fail(step);
        break;
      case 'caller':
        if ('call' in step) this.#pending.set(step.call, this.#caller.begin(step, index));
        else if ('got' in step) this.#got = step.got;
        else await this.#return(step, index);
        break;
      case 'host':
        // Before the original's host accepted, its guest had dialled.
        if ('call' in step && step.call === 'accept') this.#agent.guest.dial(Number(step.args['port']));
        break;
      case 'guest':
        await this.#playGuest(step, index);
        break;
      case 'hcs':
        await this.#ended(index);
        this.#agent.service.tell(Number(step.event), step.data ?? undefined);
    }
  }

  async #playGuest(step: GuestCall | GuestFrame, index: number): Promise<void> {
    const { guest } = this.#agent;
    if (!('call' in step)) {
      guest.say(step);
      return;
    }
    if (step.call === 'ends' || step.call === 'sends') await this.#ended(index);
    if (step.call === 'dials') await this.#dialAgain(step);
    else guest.act(step);
  }

  /** A guest tries several times. */
  async #dialAgain(step: GuestCall): Promise<void> {
    const { activity, guest } = this.#agent;
    await activity.until(() => false, redialMilliseconds);
    guest.act(step);
    await activity.until(() => false, redialMilliseconds);
  }

  async #return(step: CallerReturn, index: number): Promise<void> {
    const pending = this.#pending.get(step.returned);
    let outcome: Outcome | undefined;
    const isBack = () => {
      outcome ??= pending?.();
      return outcome !== undefined;
    };
    await this.#agent.activity.until(isBack, step.hangs === true ? hangs : patience);
    this.#pending.delete(step.returned);
    this.returned.push({ call: step.returned, expected: step, expectedGot: this.#got, outcome, index });
    this.#got = undefined;
  }

  /** What the original's host ended by terminating the VM does not end before this agent has asked for that. */
  async #ended(index: number): Promise<void> {
    const { activity, service } = this.#agent;
    if (this.#isTerminated(index)) await activity.until(() => service.isTerminating, endingPatience);
  }

  /** The original's host had terminated the VM by then. */
  #isTerminated(index: number): boolean {
    return this.#life.steps
      .slice(0, index)
      .some(
        (step) =>
          step.by === 'host' &&
          'call' in step &&
          step.call === 'HcsTerminateComputeSystem' &&
          step.result === '0x00000000',
      );
  }
}
