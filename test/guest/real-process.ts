// The process of a VM in a real guest whose agent is killed: it keeps running, and the next agent continues with it. It
// is part of `npm run test:guest` and not of `npm test`, because emulation is slow.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { ComputeSystem } from '../../agent/node/backend.ts';
import { systemIdOf } from '../../agent/node/system-id.ts';
import type { MachineRecord } from '../../agent/vm/record.ts';
import type { Assignment } from '../../protocol/messages.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { SimulatedGuestSockets } from '../../simulator/client/guest-sockets.ts';
import { type AgentCore, type CoreNode, hasReason, isRunning, startCore } from '../support/agent/agent-core.ts';
import { makeAssignment, someUid as uid } from '../support/agent/assignments.ts';
import { journalIn } from '../support/agent/crash-scenarios.ts';
import { startNode, type TestNode } from '../support/agent/simulated-node.ts';
import { type Bed, prepareBed } from '../support/guest/bed.ts';
import { bedOptions } from '../support/guest/booted-guest.ts';
import { ForwardedSockets } from '../support/guest/forwarded-sockets.ts';
import {
  type AnswerOfParent,
  callOfAgent,
  type KillableOrder,
  newsOfAgent,
} from '../support/guest/killable-messages.ts';
import { QemuBackend } from '../support/guest/qemu-backend.ts';

const bootMilliseconds = 240_000;
vi.setConfig({ testTimeout: 2 * bootMilliseconds, hookTimeout: 60_000 });
const timeouts = { bootTimeout: bootMilliseconds, exit: 30_000 };
const program = fileURLToPath(new URL('../support/guest/killable-agent.ts', import.meta.url));
/** The whole log of a test stays in one file. */
const logBytes = 1 << 30;
const soon = { timeout: 120_000, interval: 50 };

let bed: Bed;
let host: EmulatedHost;

// The first run on a machine installs an emulator and builds a device.
beforeAll(async () => {
  bed = await prepareBed();
}, 900_000);

beforeEach(async () => {
  host = await EmulatedHost.start(bed);
});

afterEach(async () => {
  await host[Symbol.asyncDispose]();
});

/** A node whose VMs are emulated machines of this process. Its files are simulated. */
class EmulatedHost implements CoreNode, AsyncDisposable {
  readonly folder: string;
  readonly node: TestNode;
  readonly #backend: QemuBackend;
  readonly #sockets: ForwardedSockets;
  #system: ComputeSystem | undefined;

  private constructor(folder: string, node: TestNode, backend: QemuBackend) {
    this.folder = folder;
    this.node = node;
    this.#backend = backend;
    this.#sockets = new ForwardedSockets(folder, this.ofAgent);
  }

  /** The folder of the sockets of an agent in a process of its own. */
  get ofAgent(): string {
    return join(this.folder, 'a');
  }

  static async start(usedBed: Bed): Promise<EmulatedHost> {
    const folder = await mkdtemp(join(tmpdir(), 'process-'));
    const started = new EmulatedHost(folder, await startNode(), new QemuBackend(usedBed, folder));
    await mkdir(started.ofAgent);
    return started;
  }

  /** For an agent of this process. */
  async connect() {
    const { close, host: files } = await this.node.connect();
    return { backend: this.#backend, host: files, sockets: new SimulatedGuestSockets(this.folder), close };
  }

  /** For an agent in a process of its own. */
  async answer(message: z.infer<typeof callOfAgent>): Promise<AnswerOfParent> {
    const { argument, call, id } = message;
    try {
      if (call === 'create') this.#system = await this.#backend.create(systemIdOf(uid), argument);
      if (call === 'listen') await this.#listen(Number(argument));
      if (call === 'start') await this.#system?.start();
      if (call === 'terminate') await this.#system?.terminate();
      const { owner = '', runtimeId = '', state = '' } = (await this.#system?.properties()) ?? {};
      return { id, result: { owner, runtimeId, state } };
    } catch (error) {
      return { id, error: messageOf(error) };
    }
  }

  /** An agent in a process of its own is about to be killed. */
  async stopListening(): Promise<void> {
    await this.#sockets.stopListening();
  }

  async #listen(port: number): Promise<void> {
    const runtimeId = (await this.#system?.properties())?.runtimeId ?? expect.fail('there is no system');
    await this.#sockets.listen(runtimeId, port);
  }

  async record(): Promise<MachineRecord | undefined> {
    return (await journalIn(this).load()).records[0];
  }

  /** Empty before the first line. */
  async log(): Promise<string> {
    return await readFile(`${this.folder}/agent/vms/${uid}/guest.log`, 'utf8').catch(() => '');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#backend.close();
    await this.node[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** An agent with one VM, in a process of its own. */
class KillableAgent {
  readonly #program: ChildProcess;
  readonly #exited: Promise<unknown>;
  #isUp = false;
  #executed = 0;

  constructor(assignment: Assignment) {
    const { socketDirectory, socketPath } = host.node;
    const { folder, ofAgent: sockets } = host;
    const given = z.json().parse(JSON.parse(JSON.stringify(assignment)));
    const order = {
      socketPath,
      socketDirectory,
      folder,
      sockets,
      assignment: given,
      bootTimeout: bootMilliseconds,
      logBytes,
    };
    this.#program = fork(program, [JSON.stringify(order satisfies KillableOrder)]);
    this.#exited = once(this.#program, 'exit');
    this.#program.on('message', (message) => void this.#hear(message));
  }

  async untilUp(): Promise<void> {
    await expect.poll(() => this.#isUp, { timeout: bootMilliseconds }).toBe(true);
  }

  /** Runs a script in the guest. */
  async shell(execute: string): Promise<void> {
    const before = this.#executed;
    this.#program.send({ execute } satisfies AnswerOfParent);
    await expect.poll(() => this.#executed, soon).toBe(before + 1);
  }

  async kill(): Promise<void> {
    // A listener dies with its process: no new connection may be taken in between.
    await host.stopListening();
    this.#program.kill('SIGKILL');
    await this.#exited;
  }

  async #hear(message: unknown): Promise<void> {
    const call = callOfAgent.safeParse(message);
    if (call.success) {
      const answer = await host.answer(call.data);
      if (this.#program.connected) this.#program.send(answer);
      return;
    }
    const { executed, observed, refused } = newsOfAgent.parse(message);
    if (refused !== undefined) throw new Error(refused);
    if (executed !== undefined) this.#executed += 1;
    this.#isUp ||= observed?.process?.state === 'Running';
  }
}

const optionsOf = (script: string) => ({
  ...bedOptions(bed),
  TerminateOnAgentExit: false,
  ProcessCommand: ['/bin/sh', '-c', script],
});
const job = (script: string) => makeAssignment({ options: optionsOf(script), runStrategy: 'Once' });
const startNext = () => startCore(host, { timeouts, guestLogFile: { maxBytes: logBytes } });

async function untilLogged(line: string): Promise<void> {
  await expect.poll(() => host.log(), soon).toContain(` info ${line} source=process\n`);
}

async function idsOf(core: AgentCore): Promise<string> {
  const output = { stdin: false, stdout: true, stderr: false };
  const command = { args: ['cat', '/run/lcow-process'] };
  const machine = core.supervisor.machine(uid) ?? expect.fail('the agent does not know the VM');
  const { stdout } = await machine.access.execute(command, output, AbortSignal.timeout(60_000));
  const chunks: string[] = [];
  for await (const chunk of stdout ?? []) chunks.push(String(chunk));
  return chunks.join('').trim();
}

async function failed(core: AgentCore): Promise<void> {
  await expect.poll(() => hasReason('Failed')(core.observed(uid)), { timeout: bootMilliseconds }).toBe(true);
}

const countOf = (text: string, part: RegExp) => [...text.matchAll(part)].length;
const payload = 'x'.repeat(240);
const numbered = new RegExp(` info (\\d+) ${payload} source=process$`, 'gm');
const lines = 200_000;
const writer = `echo "begun $$"
busybox awk 'BEGIN { for (i = 0; i < ${lines}; i++) print i, "${payload}" }'
echo "over $$"
exit 3`;

describe('the process of a VM whose agent was killed', () => {
  it('runs once while it writes fast, and loses only what the dead socket had taken', async () => {
    const first = new KillableAgent(job(writer));
    await first.untilUp();
    await expect.poll(async () => countOf(await host.log(), numbered), soon).toBeGreaterThan(5_000);
    await first.kill();
    const before = await host.record();
    const seenBefore = [...(await host.log()).matchAll(numbered)].length;
    expect(before?.process).toMatchObject({ state: 'running' });

    await using second = await startNext();
    const begun = Date.now();
    await expect.poll(() => isRunning(second.observed(uid)), soon).toBe(true);
    const pid = before?.process?.state === 'running' ? before.process.pid : undefined;
    const ids = await idsOf(second);
    expect(ids).toMatch(new RegExp(`^${pid} \\d+$`));
    await failed(second);
    expect(second.observed(uid).process).toMatchObject({ state: 'Exited', exitCode: 3 });
    expect(second.observed(uid).lastExit?.message).toBe('the process ended with exit code 3');

    const log = await host.log();
    const program = ids.split(' ')[1];
    expect([...log.matchAll(/ info (begun|over) (\d+) source=process$/gm)].map(([, what, id]) => [what, id])).toEqual([
      ['begun', program],
      ['over', program],
    ]);
    const seen = [...log.matchAll(numbered)].map(([, number]) => Number(number));
    const gaps = seen.flatMap((number, index) => {
      const last = seen[index - 1] ?? -1;
      return number === last + 1 ? [] : [{ after: last, lost: number - last - 1 }];
    });
    const bytes = (seen.length - seenBefore) * payload.length;
    process.stdout.write(
      `${((bytes / (Date.now() - begun)) * 1000) / 1e6} MB/s, gap ${JSON.stringify(gaps)}, before ${seenBefore}\n`,
    );
    // Nothing twice, nothing in another order, and one gap where the agent died.
    expect(seen.at(-1)).toBe(lines - 1);
    expect(gaps.length).toBeLessThan(2);
    for (const { after, lost } of gaps) {
      expect(after).toBeGreaterThanOrEqual(seenBefore - 1);
      expect(lost * payload.length).toBeLessThan(4 << 20);
    }
  });

  it('may end while no agent is there, and its exit code is still known', async () => {
    const first = new KillableAgent(job('echo begun; until [ -e /tmp/go ]; do sleep 1; done; exit 3'));
    await first.untilUp();
    await untilLogged('begun');
    await first.shell('echo go > /tmp/go');
    await first.kill();
    await using second = await startNext();
    await failed(second);
    expect(second.observed(uid).process).toMatchObject({ state: 'Exited', exitCode: 3 });
    expect(countOf(await host.log(), / info begun source=process$/gm)).toBe(1);
  });

  it('is found by its note when the start is not in the journal, and gets TERM', async () => {
    const script = 'trap "echo good bye; exit 7" TERM; echo begun; while :; do sleep 0.1; done';
    const first = new KillableAgent(job(script));
    await first.untilUp();
    await untilLogged('begun');
    await first.kill();
    const record = (await host.record()) ?? expect.fail('the journal has no record');
    if (record.process?.state !== 'running') expect.fail('the process does not run');
    const { port } = record.process;
    await journalIn(host).write({ ...record, process: { state: 'starting', ...(port !== undefined && { port }) } });
    await using second = await startNext();
    await expect.poll(() => second.observed(uid).process?.state, soon).toBe('Running');
    await second.supervisor.assign(
      makeAssignment({ options: optionsOf(script), runStrategy: 'Halted', generation: 2 }),
    );
    await expect.poll(() => hasReason('Halted')(second.observed(uid)), soon).toBe(true);
    expect(second.observed(uid).process).toMatchObject({ state: 'Exited', exitCode: 7 });
    const log = await host.log();
    expect(countOf(log, / info begun source=process$/gm)).toBe(1);
    expect(log).toContain(' info good bye source=process');
  });
});
