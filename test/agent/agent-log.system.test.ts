// The agent's own log, as the program writes it to standard output.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { glob, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { z } from 'zod';
import type { OperatorMessage } from '../../protocol/messages.ts';
import { makeAssignment } from '../support/agent/assignments.ts';
import { ScriptedOperator, type Session } from '../support/agent/scripted-operator.ts';
import { startNode, type TestNode } from '../support/agent/simulated-node.ts';
import { until } from '../support/until.ts';

const program = fileURLToPath(new URL('../../simulator/agent.ts', import.meta.url));
const agentFolder = fileURLToPath(new URL('../../agent/', import.meta.url));
const outlives = makeAssignment({ namespace: 'team', name: 'web', options: { TerminateOnAgentExit: false } });
const refusedUid = '6a3f2c1e-0b7d-4c55-9a51-000000000002';
const entry = z.looseObject({
  host: z.string().optional(),
  msg: z.string(),
  source: z.string().optional(),
  uid: z.string().optional(),
  vm: z.string().optional(),
});

class AgentProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  #output = '';

  static async start(node: TestNode, operator: ScriptedOperator, flags: readonly string[] = []): Promise<AgentProgram> {
    const tokenFile = join(node.folder, 'token');
    await writeFile(tokenFile, 'secret');
    return new AgentProgram([
      `--operator-url=${operator.url}`,
      `--token-file=${tokenFile}`,
      `--state-dir=${join(node.folder, 'agent')}`,
      `--simulated-socket=${node.socketPath}`,
      '--log-level=trace',
      ...flags,
    ]);
  }

  private constructor(flags: readonly string[]) {
    this.#child = spawn(process.execPath, [program, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
  }

  /** The agent's own log lines, unchanged. */
  get lines(): readonly string[] {
    const whole = this.#output.split('\n').slice(0, -1);
    return whole.filter((line) => entry.parse(JSON.parse(line)).source === undefined);
  }

  get entries(): readonly z.infer<typeof entry>[] {
    return this.lines.map((line) => entry.parse(JSON.parse(line)));
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const closed = once(this.#child, 'close');
    this.#child.kill(signal);
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.end('SIGKILL');
  }
}

async function welcomed(operator: ScriptedOperator, index: number): Promise<Session> {
  const session = await operator.session(index);
  await session.hello();
  session.send({ type: 'welcome', replica: 'operator-0', epoch: index + 1, heartbeatSeconds: 10 });
  return session;
}

it('the log names its host in every line, and the VM in each line about a VM', async () => {
  await using node = await startNode();
  await using operator = await ScriptedOperator.start();
  await using first = await AgentProgram.start(node, operator, ['--node-name=win-a']);
  const before = await welcomed(operator, 0);
  before.send({ type: 'assign', epoch: 1, virtualMachine: outlives });
  await before.next('observed', ({ virtualMachine }) => virtualMachine['phase'] === 'Running');
  await first.end('SIGKILL');

  await using second = await AgentProgram.start(node, operator, ['--node-name=win-a']);
  const after = await welcomed(operator, 1);
  const unknown = { ...outlives, uid: refusedUid, name: 'other', options: { NoSuchOption: 1 } };
  after.send({ type: 'assign', epoch: 2, virtualMachine: unknown } satisfies OperatorMessage);
  await until('the refusal', () => second.entries.some(({ msg }) => msg === 'an assignment was refused'));
  after.send({ type: 'release', epoch: 2, uid: outlives.uid });
  await after.next('removed');
  await second.end('SIGTERM');

  const all = [...first.entries, ...second.entries];
  expect(new Set(all.map(({ host }) => host))).toEqual(new Set(['win-a']));
  const aboutVMs = all.filter(({ uid }) => uid !== undefined);
  const told = new Set(aboutVMs.map(({ msg }) => msg));
  for (const msg of ['transition', 'adopted the running VM', 'release', 'an assignment was refused']) {
    expect(told).toContain(msg);
  }
  expect(new Set(aboutVMs.map(({ uid, vm }) => `${vm} ${uid}`))).toEqual(
    new Set([`team/web ${outlives.uid}`, `team/other ${refusedUid}`]),
  );
  // JSON allows a member twice, but not every reader accepts it.
  for (const line of [...first.lines, ...second.lines])
    expect(line.match(/"(?:vm|uid|host)":/g)?.length).toBeLessThan(4);
  expect(all.filter(({ vm, uid }) => (vm === undefined) !== (uid === undefined))).toEqual([]);
});

it('the log has the name of the computer when the agent is not told the name of its node', async () => {
  await using node = await startNode();
  await using operator = await ScriptedOperator.start();
  await using agent = await AgentProgram.start(node, operator);
  await welcomed(operator, 0);
  await until('a line', () => agent.entries.length > 0);
  expect(agent.entries[0]?.host).toBe(hostname().toLowerCase());
});

it('code that works on one VM uses the logger of that VM, which adds the name of the VM', async () => {
  const twice: string[] = [];
  for await (const file of glob('{run,vm}/**/*.ts', { cwd: agentFolder })) {
    // The supervisor knows all VMs, so it must name them.
    if (file === 'vm/supervisor.ts') continue;
    const calls = (await readFile(`${agentFolder}${file}`, 'utf8')).match(
      /logger\s*\.(?!child)\w+\(\s*\{[^}]*\buid\b[^}]*\}/g,
    );
    twice.push(...(calls ?? []).map((call) => `${file}: ${call}`));
  }
  expect(twice).toEqual([]);
});
