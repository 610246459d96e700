// `kubectl luvm` with a real API server, two replicas of the operator, an agent and a simulated guest. The API server
// reaches the replica that does not lead, which forwards every request to the leader.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { restart } from '../../kubectl/annotate.ts';
import type { CommandPorts } from '../../kubectl/commands.ts';
import { console } from '../../kubectl/console.ts';
import { document } from '../../kubectl/document.ts';
import { exec } from '../../kubectl/exec.ts';
import { logs } from '../../kubectl/logs.ts';
import { start } from '../../kubectl/start.ts';
import { status } from '../../kubectl/status.ts';
import { subresourcePath } from '../../protocol/subresources.ts';
import type { SimulatedHostControl } from '../../simulator/client/control.ts';
import { threeHosts } from '../../simulator/playground/system.ts';
import { forwardPorts } from '../support/kubectl/forwarded-ports.ts';
import { answerOf, requestsOver } from '../support/kubectl/local-requests.ts';
import { PluginProgram } from '../support/kubectl/plugin-program.ts';
import { createReader, reader } from '../support/kubectl/reader.ts';
import { type Outcome, runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';
import { starter, startersGroup, startersList } from '../support/kubectl/starters.ts';
import { administratorOf } from '../support/system/administrator.ts';
import { AgentsService } from '../support/system/agents-service.ts';
import { rawRequest, sendRaw, webSocketHeaders } from '../support/system/raw-request.ts';
import { rolesOf } from '../support/system/replicas.ts';
import { isRunning, RunningSystem } from '../support/system/running-system.ts';

const nodeName = 'win-2022-a';
const name = 'guest';

let service: AgentsService;
let running: RunningSystem;
let control: SimulatedHostControl;
let systemID: string;
let folder: string;
let plugin: PluginProgram;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plugin-'));
  service = await AgentsService.listen();
  running = await RunningSystem.start(
    new Map([...threeHosts].filter(([host]) => host === nodeName)),
    async ({ kubeconfigPath }) => ({
      replicas: [{ kubeconfigPath }, { kubeconfigPath }],
      agentsService: service.port,
    }),
    (system) => service.serve(system.replicas),
  );
  plugin = await PluginProgram.install(running.controlPlane, folder);
  const { standby } = await rolesOf(running);
  await running.system.installApiService(standby.apiPort);
  control = await running.control(nodeName);
  await running.apply(name, { nodeName, memory: { sizeInMB: 256 }, console: { pipe: '\\\\.\\pipe\\guest' } });
  const machine = await running.untilMachine(name, 'runs', isRunning);
  systemID = `luvm-${machine.metadata.uid}`;
}, 900_000);

afterAll(async () => {
  await control?.close();
  await running?.[Symbol.asyncDispose]();
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

type Command = (ports: CommandPorts) => Promise<number>;

/** Runs the command with a new terminal, unless one is given. */
function run(command: Command, terminal = new StandInTerminal()): Promise<Outcome> {
  return runAt(terminal, running.controlPlane.kubeconfigPath, command);
}

const execOf =
  (args: readonly string[], options = { stdin: false, tty: false }): Command =>
  (ports) =>
    exec(name, args, options, ports);
const logsOf =
  (options: Partial<Parameters<typeof logs>[1]>): Command =>
  (ports) =>
    logs(name, { follow: false, previous: false, ...options }, ports);

/** Lines as the guest's service writes them. */
async function write(from: number, to: number): Promise<void> {
  let lines = '';
  for (let number = from; number < to; number += 1) lines += `{"level":"info","msg":"line ${number}"}\n`;
  await control.writeLog(systemID, lines);
}

const numbersOf = (lines: readonly string[]) =>
  lines.flatMap((line) => /^info line (\d+)$/.exec(line)?.[1] ?? []).map(Number);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

/** kubectl's own completion for bash, as bash calls it for a Tab behind the last word. bash-completion is not needed. */
const completeInBash = `
  _get_comp_words_by_ref() { words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=\${words[cword]}; prev=\${words[cword-1]}; }
  __ltrim_colon_completions() { :; }
  source <(kubectl completion bash)
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}
  __start_kubectl
  printf '%s\\n' "\${COMPREPLY[@]}"`;

describe('kubectl luvm', () => {
  it('is a plugin of kubectl once it is on the PATH, and ends with the exit code of the guest', async () => {
    const help = await plugin.run('--help');
    for (const command of [
      'logs',
      'exec',
      'console',
      'port-forward',
      'restart',
      'pause',
      'resume',
      'status',
      'top',
      'stacks',
      'rollout',
      'document',
      'version',
    ]) {
      expect(help.stdout).toContain(`  ${command} `);
    }
    const [tail, shell] = [
      await plugin.run('logs', name, '--tail', '1'),
      await plugin.run('exec', name, '-n', 'default', '--', 'sh', '-c', 'exit 7'),
    ];
    // The guest may write one more line while its log is read, and has written many more before.
    const lines = expect.stringMatching(/^(\S+Z info \S.*\n){1,2}$/);
    expect(tail).toMatchObject({ code: 0, stdout: lines, stderr: '' });
    expect(shell).toEqual({ code: 7, stdout: '', stderr: '' });
  });

  it('acts on sets, too', async () => {
    const [unknown, planned] = await Promise.all([
      plugin.run('rollout', 'status', 'luvmset/nosuch', '--watch=false'),
      plugin.run('rollout', 'plan', '-f', 'examples/sets/web.yaml'),
    ]);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('has no set "nosuch"') });
    const stdout = 'luvmset/web is new.\n1. 3 VMs made: web-0, web-1, web-2\n';
    expect(planned).toEqual({ code: 0, stderr: '', stdout });
  });

  it('completes names and namespaces in bash, through kubectl', async () => {
    const complete = (...words: readonly string[]) =>
      plugin.runProgram('bash', ['-c', completeInBash, 'bash', ...words]);
    const [names, namespaces] = await Promise.all([
      complete('kubectl', 'luvm', 'logs', 'luvm/gu'),
      complete('kubectl', 'luvm', 'logs', '-n', 'kube-s'),
    ]);
    expect(names).toMatchObject({ code: 0, stdout: `luvm/${name}\n` });
    expect(namespaces).toMatchObject({ code: 0, stdout: 'kube-system\n' });
  });

  it('exec passes input, output and exit codes on, and reports errors', async () => {
    const input = new StandInTerminal();
    input.input.end('x'.repeat(1_000_000));
    const [uname, cat, shell, missing, signalled] = await Promise.all([
      run(execOf(['uname', '-a'])),
      run(execOf(['cat'], { stdin: true, tty: false }), input),
      run(execOf(['sh', '-c', 'complain'])),
      run(execOf(['nosuch'])),
      run(execOf(['sh', '-c', 'kill -9 $$'])),
    ]);
    expect(uname).toEqual({ code: 0, stdout: 'Linux simulated 6.6.96 #1 SMP x86_64 GNU/Linux\n', stderr: '' });
    expect([cat.code, cat.stdout.length, cat.stderr]).toEqual([0, 1_000_000, '']);
    expect(shell).toEqual({ code: 127, stdout: '', stderr: 'sh: complain: not found\n' });
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('fork/exec nosuch: no such file') });
    expect(signalled).toMatchObject({ code: 255, stderr: 'the process was ended by a signal\n' });
  });

  it('exec runs kill in the guest on Ctrl-C', async () => {
    const terminal = new StandInTerminal();
    const sleeping = run(execOf(['sleep', '1000']), terminal);
    await terminal.interrupt();
    expect(await sleeping).toMatchObject({ code: 255, stderr: 'the process was ended by a signal\n' });
  });

  it('exec -t sets the size of the terminal at the start, passes input on, and cannot change the size', async () => {
    const terminal = new StandInTerminal({ height: 30, width: 100 });
    const code = run(execOf(['cat'], { stdin: true, tty: true }), terminal);
    await terminal.resize();
    await terminal.resize();
    await terminal.until('it is refused', ({ stderr }) => stderr.includes('refused'));
    terminal.input.end('typed\r');
    expect(await code).toMatchObject({ code: 0, stdout: 'typed\r' });
    expect(terminal.rawModes).toEqual([true, false]);
    expect(terminal.stderr).toMatch(/^\[refused: the size of a terminal is set when it is opened.*\]\r\n$/);
  });

  it('console prints the output of the serial port, for one reader at a time', async () => {
    const terminal = new StandInTerminal();
    const read = (ports: CommandPorts) => console(name, ports);
    const reading = run(read, terminal);
    await terminal.until('a prompt', ({ stdout }) => stdout.includes('login: '));
    expect(await run(read)).toMatchObject({ code: 1, stderr: expect.stringContaining('another user') });
    await terminal.interrupt();
    expect((await reading).code).toBe(0);
  });

  it('port-forward carries the requests of local programs to programs of the guest, many at once', async () => {
    const { ports, stop, terminal } = await forwardPorts(plugin, name, ':vsock:80', '0:vsock:109');
    const [http, log] = ports;
    const [answers, ofAgent] = await Promise.all([
      requestsOver(http ?? 0, { connections: 20, requests: 100 }),
      answerOf(`http://127.0.0.1:${log}/`).catch(() => 'refused'),
    ]);
    expect(new Set(answers)).toEqual(new Set([`Hello from the simulated guest of ${systemID}: GET /x\n`]));
    expect(answers).toHaveLength(100);
    expect(ofAgent).toBe('refused');
    await terminal.until('the reason', ({ stderr }) => stderr.includes('vsock port 109 cannot be forwarded'));
    expect(await stop()).toBe(0);
  });

  it('document prints exactly what HCS was sent; status shows the boot', async () => {
    const [sent, told] = await Promise.all([
      run((ports) => document(name, { pretty: false }, ports)),
      run((ports) => status({ names: [name] }, ports)),
    ]);
    expect(sent.stdout).toBe(`${(await control.system(systemID))?.document}\n`);
    expect(told.stdout).toMatch(/^default\/guest on win-2022-a, Running: ready \(Running\)\n/);
    expect(told.stdout).toMatch(
      /\n {2}\S+Z {14}files found, document built\n {2}\S+Z +\+\d+\.\d{3} s {2}compute system/,
    );
    expect(told.stdout).toMatch(/\+\d+\.\d{3} s {2}guest answered on its bridge\n/);
  });

  it('stacks and top ask the guest and the agent', async () => {
    const [printed, measured] = await Promise.all([plugin.run('stacks', name), plugin.run('top', '-o', 'json')]);
    expect(printed).toEqual({ code: 0, stdout: 'goroutine 1 [running]:\nmain.main()\n', stderr: '' });
    expect(measured).toMatchObject({ code: 0, stderr: '' });
    const figures = { busyProcessors: expect.any(Number), usedMemoryInMB: 256, logLinesPerSecond: expect.any(Number) };
    expect(JSON.parse(measured.stdout).items).toMatchObject([
      { namespace: 'default', name, node: nodeName, ...figures },
    ]);
  });

  it('names what does not exist', async () => {
    const [unknown, untold] = await Promise.all([
      run((ports) => logs('nobody', { follow: true, previous: false }, ports)),
      run((ports) => status({ names: ['nobody'] }, ports)),
    ]);
    expect(unknown).toEqual({ code: 1, stdout: '', stderr: 'error: linuxutilityvms.lcow.dev "nobody" not found\n' });
    expect(untold).toMatchObject({ code: 1, stderr: expect.stringContaining('not found') });
    const early = await run(logsOf({ previous: true }));
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining('no earlier run of this VM') });
  });
});

describe('rights', () => {
  it('are those of the user: the right to read logs is not the right to start processes', async () => {
    const kubeconfig = await createReader(running, folder);
    const asReader = (command: Command) => runAt(new StandInTerminal(), kubeconfig, command);
    const read = await running.until('RBAC knows the reader', async () => {
      const result = await asReader(logsOf({ tail: 1 }));
      return result.code === 0 ? result : undefined;
    });
    expect(read.stdout).toContain(' info ');
    for (const refused of [
      await asReader(execOf(['true'])),
      await asReader((ports) => console(name, ports)),
      await asReader((ports) => document(name, { pretty: false }, ports)),
      await asReader(({ api }) => start(api, name, 'portforward', new URLSearchParams('port=80')).then(() => 0)),
    ]) {
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(`is forbidden: User "${reader}" cannot get resource`);
    }
  });

  it('of a group whose name has a comma apply to that group, not to its parts', async () => {
    await running.kubectl(['apply', '-f', '-'], JSON.stringify(startersList));
    const { hostname: host, port } = new URL(running.controlPlane.server);
    const to = { host, port: Number(port), ...(await administratorOf(running)) };
    const path = `${subresourcePath('default', name, 'exec')}?command=true&stdout=true`;
    const codeFor = async (...groups: readonly string[]) => {
      const impersonated = [`Impersonate-User: ${starter}`, ...groups.map((group) => `Impersonate-Group: ${group}`)];
      return (await sendRaw(to, rawRequest('GET', path, [...webSocketHeaders(), ...impersonated]))).code;
    };
    await running.until('RBAC knows the group', async () => (await codeFor('plain', startersGroup)) === 101);
    expect(await codeFor(...startersGroup.split(','))).toBe(403);
    expect(await codeFor(startersGroup.replace(',', ', '))).toBe(403);
    expect(await codeFor('plain')).toBe(403);
  });

  it('cannot be gained by a direct request to the operator', async () => {
    const { leader } = await rolesOf(running);
    const path = `/apis/subresources.lcow.dev/v1alpha1/namespaces/default/linuxutilityvms/${name}/log`;
    const headers = { 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' };
    const code = await new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: leader.apiPort, path, headers, rejectUnauthorized: false };
      https.get(options, ({ statusCode }) => resolve(statusCode)).on('error', reject);
    });
    expect(code).toBe(401);
  });
});

describe('an operator that restarts', () => {
  it('loses and repeats no line of a followed log; a process ends with a clear error', async () => {
    await write(0, 200);
    const [follower, printer, sleeper] = [new StandInTerminal(), new StandInTerminal(), new StandInTerminal()];
    // The program itself is used, because it must keep running while no operator answers.
    const program = plugin.start('logs', '-f', name);
    program.stdout.pipe(follower.output);
    program.stderr.pipe(follower.errors);
    const following = once(program, 'close');
    const printing = run((ports) => console(name, ports), printer);
    const process = run(execOf(['sleep', '1000']), sleeper);
    await follower.until('the first lines', ({ lines }) => numbersOf(lines).length === 200);
    await printer.until('a prompt', ({ stdout }) => stdout.includes('login: '));
    await sleeper.untilStreaming();
    const { leader } = await rolesOf(running);
    const isDown = leader.process.stop();
    await write(200, 400);
    await isDown;
    expect(await process).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^error: the connection (was lost|between the operator and the agent)/),
    });
    await write(400, 600);
    await leader.process.start();
    await follower.until('all lines', ({ lines }) => numbersOf(lines).length >= 600);
    await write(600, 700);
    await follower.until('later lines', ({ lines }) => numbersOf(lines).includes(699));
    expect(numbersOf(follower.lines)).toEqual(range(0, 700));
    expect(follower.stderr).not.toContain('missing');
    await printer.until('another prompt', ({ stdout }) => stdout.split('login: ').length === 3);
    await printer.interrupt();
    program.kill();
    await Promise.all([following, printing]);
  });

  it('does not affect restarts, nor the log of the previous run, nor ports that are forwarded', async () => {
    const { ports, stop } = await forwardPorts(plugin, name, ':vsock:80');
    const ask = () => answerOf(`http://127.0.0.1:${ports[0]}/`);
    expect(await ask()).toContain('Hello');
    const follower = new StandInTerminal();
    const following = run(logsOf({ follow: true, tail: 1 }), follower);
    await follower.until('a line', ({ lines }) => lines.length === 1);
    expect((await run((ports) => restart({ names: [name] }, ports))).stdout).toContain(
      'guest restarted (lcow.dev/restartedAt=',
    );
    await running.untilMachine(name, 'was restarted', (now) => now.status.restarts === 1 && isRunning(now));
    await follower.until('the next run', ({ stdout }) => stdout.includes('GCS started'));
    follower.output.destroy();
    const previous = await run(logsOf({ previous: true }));
    expect(numbersOf(previous.stdout.split('\n'))).toEqual(range(0, 700));
    const now = await run(logsOf({}));
    expect(numbersOf(now.stdout.split('\n'))).toEqual([]);
    expect(now.stdout).toContain('GCS started');
    await following;
    expect(await ask()).toContain('Hello');
    expect(await stop()).toBe(0);
  });
});
