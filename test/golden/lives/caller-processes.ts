// Processes that the caller starts in the VM, through what serves a user's exec.
import { PassThrough, Writable } from 'node:stream';
import { serveExec } from '../../../agent/streams/exec-stream.ts';
import { systemClock } from '../../../runtime/clock.ts';
import type { ArgsOf } from './call-args.ts';
import { type LifeAgent, uid } from './life-agent.ts';
import { type Outcome, refusal } from './outcome.ts';

const lifelong = new AbortController().signal;
const nothingWanted = { stdin: false, stdout: false, stderr: false };
const terminalSize = { height: 24, width: 80 };

export class CallerProcesses {
  readonly #agent: LifeAgent;
  #latest = 0;

  constructor(agent: LifeAgent) {
    this.#agent = agent;
  }

  async exec({ args: command, stdin: input, terminal }: ArgsOf<'exec'>): Promise<Outcome> {
    const stdin = new PassThrough();
    stdin.end(input);
    const texts = { stdout: '', stderr: '' };
    const outgoing = (name: keyof typeof texts) =>
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          texts[name] += chunk.toString('utf8');
          done();
        },
      });
    const opened = (id: number) => {
      this.#latest = id;
    };
    const stream = { incoming: () => stdin, outgoing };
    const opening = openingOf(command, terminal);
    const { access } = this.#agent.machine;
    try {
      const { exitCode = 0 } = await serveExec(opening, {
        access,
        clock: systemClock,
        stream,
        opened,
        signal: lifelong,
      });
      return { ok: exitCode === 0, got: { exitCode, ...texts } };
    } catch (error) {
      return { ...refusal(error), got: texts };
    }
  }

  /** As the client does it: the bridge signals only containers. */
  async kill(): Promise<void> {
    const command = { args: ['kill', '-KILL', String(this.#latest)] };
    const { exitCode } = await this.#agent.machine.access.execute(command, nothingWanted, lifelong);
    await exitCode;
  }
}

function openingOf(command: string[], hasTerminal: boolean): Parameters<typeof serveExec>[0] {
  const terminal = hasTerminal ? { terminal: terminalSize } : {};
  return {
    type: 'exec',
    epoch: 1,
    stream: 1,
    uid,
    window: 1,
    command,
    stdin: true,
    stdout: true,
    stderr: true,
    ...terminal,
  };
}
