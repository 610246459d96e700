// `kubectl luvm rollout status`: follows the rollout of a set with a line for each change, and ends with it. It asks for
// the set once a second, as often as the operator writes its status, so it needs no right to watch.
import { delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { plainText } from '../../runtime/plain-text.ts';
import { ApiFailure } from '../api.ts';
import { type CommandPorts, exitCodes, reconnectPatience } from '../commands.ts';
import { setType } from '../object-types.ts';
import { Patience } from '../patience.ts';
import { tell, writeTo } from '../terminal.ts';
import { type Judgement, judge } from './judgement.ts';
import { readSet, revisionsOf, type ShownSet } from './objects.ts';
import { stuckMember, troublesOf } from './troubles.ts';

export interface RolloutStatusOptions {
  /** False: says how far the rollout is, and ends. */
  readonly watch: boolean;
  readonly timeoutMilliseconds?: number | undefined;
  /** The rollout of another revision is an error. */
  readonly revision?: number | undefined;
}

const intervalMilliseconds = 1_000;
/** How long nothing happens before VMs are looked at: a list of them may be long. */
const lookMilliseconds = 5_000;

export async function rolloutStatus(name: string, options: RolloutStatusOptions, ports: CommandPorts): Promise<number> {
  return await new Following(name, options, ports).run();
}

class Following {
  readonly #name: string;
  readonly #options: RolloutStatusOptions;
  readonly #ports: CommandPorts;
  readonly #patience: Patience;
  readonly #startedAt: number;
  #uid: string | undefined;
  #shown: string | undefined;
  #lookedAt: number;
  /** The revision whose number was compared with the one that the user named. */
  #compared: string | undefined;

  constructor(name: string, options: RolloutStatusOptions, ports: CommandPorts) {
    const { clock, random, terminal } = ports;
    this.#name = name;
    this.#options = options;
    this.#ports = ports;
    this.#startedAt = clock.now();
    this.#lookedAt = clock.now();
    const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
    this.#patience = new Patience({ clock, random, limitMilliseconds: reconnectPatience, onTrouble });
  }

  async run(): Promise<number> {
    const { clock, terminal } = this.#ports;
    while (!terminal.output.destroyed) {
      const ended = await this.#look();
      if (ended !== undefined) return ended;
      await delay(clock, intervalMilliseconds);
    }
    return exitCodes.ok;
  }

  /** The exit code, once the command is over. */
  async #look(): Promise<number | undefined> {
    try {
      const set = await this.#read();
      const judgement = await this.#judge(set);
      this.#patience.succeeded();
      return await this.#act(set, judgement);
    } catch (error) {
      if (this.#isLate && isPassing(error)) return this.#fail(`timed out: ${messageOf(error)}`);
      await this.#patience.wait(error);
      return undefined;
    }
  }

  async #read(): Promise<ShownSet> {
    const { api } = this.#ports;
    const set = await readSet(api, this.#name).catch((error: unknown) => {
      const isGone = this.#uid !== undefined && error instanceof ApiFailure && error.code === 404;
      throw isGone ? new Error(`${this.#shownName} was deleted while its rollout was followed`) : error;
    });
    this.#uid ??= set.metadata.uid;
    if (set.metadata.uid === this.#uid) return set;
    throw new Error(`${this.#shownName} was deleted and made again while its rollout was followed`);
  }

  async #judge(set: ShownSet): Promise<Judgement> {
    const judgement = judge(set);
    if (judgement.kind === 'Failed') return judgement;
    const wrong = await this.#wrongRevision(set);
    if (wrong !== undefined) return { kind: 'Failed', text: wrong };
    if (judgement.kind === 'Done') return judgement;
    const stuck = await this.#stuckMember(set, judgement.text);
    return stuck === undefined ? judgement : { kind: 'Failed', text: `stuck: ${stuck}` };
  }

  async #act(set: ShownSet, { kind, text }: Judgement): Promise<number | undefined> {
    if (kind === 'Failed') return this.#fail(text, await this.#troubles(set, text));
    if (kind === 'Done') {
      await this.#show(`rolled out: ${text}`);
      return exitCodes.ok;
    }
    await this.#show(text);
    if (!this.#options.watch) return exitCodes.ok;
    if (!this.#isLate) return undefined;
    return this.#fail(`timed out: ${text}`, await this.#troubles(set, text));
  }

  /** Without the VM that the text names already. A reason without its details is worth more than another error. */
  async #troubles(set: ShownSet, text: string): Promise<readonly string[]> {
    const lines = await troublesOf(this.#ports.api, set).catch((error: unknown) => [
      `the VMs cannot be read: ${messageOf(error)}`,
    ]);
    return lines.filter((line) => !text.endsWith(line));
  }

  async #wrongRevision(set: ShownSet): Promise<string | undefined> {
    const { revision } = this.#options;
    const { generation } = set.metadata;
    const { observedGeneration = 0, updateRevision } = set.status;
    if (revision === undefined || observedGeneration < generation || updateRevision === this.#compared)
      return undefined;
    const all = await revisionsOf(this.#ports.api, set);
    const present = all.find(({ metadata }) => metadata.name === updateRevision)?.revision;
    this.#compared = updateRevision;
    if (present === revision) return undefined;
    return `the present revision is ${present ?? 'not known'}, and not ${revision}: "kubectl luvm rollout history ${setType.short}/${this.#name}" shows all`;
  }

  /** Looks only after nothing has happened for a while, or at once if this is the only look. */
  async #stuckMember(set: ShownSet, text: string): Promise<string | undefined> {
    const { api, clock } = this.#ports;
    const { updatedAvailableReplicas = 0, updatedReplicas = 0 } = set.status;
    const isNew = text !== this.#shown;
    const isTime = !isNew && clock.now() >= this.#lookedAt + lookMilliseconds;
    if (isNew || isTime) this.#lookedAt = clock.now();
    if (!isTime && this.#options.watch) return undefined;
    if (updatedReplicas <= updatedAvailableReplicas) return undefined;
    return await stuckMember(api, set).catch((error: unknown) => {
      // Without the right to see VMs, the deadline of the set has to do.
      if (error instanceof ApiFailure && error.code === 403) return undefined;
      throw error;
    });
  }

  async #show(text: string): Promise<void> {
    if (text === this.#shown) return;
    this.#shown = text;
    await writeTo(this.#ports.terminal.output, `${plainText(`${this.#shownName}: ${text}`)}\n`);
  }

  #fail(text: string, more: readonly string[] = []): number {
    tell(this.#ports.terminal, `error: ${this.#shownName}: ${text}`);
    for (const line of more) tell(this.#ports.terminal, `  ${line}`);
    return exitCodes.failed;
  }

  get #shownName(): string {
    return `${setType.short}/${this.#name}`;
  }

  get #isLate(): boolean {
    const { timeoutMilliseconds = 0 } = this.#options;
    return timeoutMilliseconds > 0 && this.#ports.clock.now() >= this.#startedAt + timeoutMilliseconds;
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof ApiFailure && error.isPassing;
}
