// A real guest in the whole system: `kubectl luvm` sends a request to a real API server, which passes it to an
// operator, then to the agent of an emulated node, then to the Linux in its VM. It is part of `npm run test:guest` and
// not of `npm test`, because emulation is slow.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import type { CommandPorts } from '../../kubectl/commands.ts';
import { console } from '../../kubectl/console.ts';
import { exec } from '../../kubectl/exec.ts';
import { logs } from '../../kubectl/logs.ts';
import { emulatedHost } from '../../simulator/playground/system.ts';
import { type Bed, prepareBed } from '../support/guest/bed.ts';
import { emulatedConsolePath } from '../support/guest/qemu-backend.ts';
import { openConsole } from '../support/guest/serial-console.ts';
import { forwardPorts } from '../support/kubectl/forwarded-ports.ts';
import { requestsOver } from '../support/kubectl/local-requests.ts';
import { PluginProgram } from '../support/kubectl/plugin-program.ts';
import { createReader, reader } from '../support/kubectl/reader.ts';
import { type Outcome, runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';
import { condition, isRunning, type Machine, RunningSystem } from '../support/system/running-system.ts';

const [nodeName] = emulatedHost;
const pipe = '\\\\.\\pipe\\guest';
// The cores can be slow when other programs use them.
const bootMilliseconds = 240_000;
/** A kernel without its init program stops or hangs. */
const startFailures: ReadonlySet<string> = new Set(['ExitedDuringStart', 'BootTimeout']);
const soon = { timeout: 60_000 };
/** Enough to be cut in the middle: emulation takes some seconds for it. */
const copiedBytes = 32 << 20;

let bed: Bed;
let running: RunningSystem;
let plugin: PluginProgram;
let folder: string;
let name = 'guest';
let machine: Machine;

// The first run on a machine builds a control plane, installs an emulator and builds a device.
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'real-system-'));
  bed = await prepareBed();
  running = await RunningSystem.start(new Map([emulatedHost]), async () => ({ emulated: new Set([nodeName]) }));
  await running.system.installApiService();
  plugin = await PluginProgram.install(running.controlPlane, folder);
  machine = await startGuest({ console: { pipe } });
  // An image without a shell does not start with one as its console.
  if (isRunning(machine)) return;
  await running.kubectl(['delete', 'luvm', name]);
  name = 'guest-without-console';
  machine = await startGuest({});
}, 900_000);

afterAll(async () => {
  await running?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function applyGuest(named: string, spec: object): Promise<void> {
  const toleration = { key: 'playground.lcow.dev/guest', operator: 'Exists' };
  await running.apply(named, {
    ...spec,
    nodeName,
    tolerations: [toleration],
    memory: { sizeInMB: bed.isForeign ? 1024 : 512 },
    processor: { count: 2 },
    guest: { disableTimeSync: true },
  });
}

async function startGuest(spec: object): Promise<Machine> {
  await applyGuest(name, spec);
  const hasFailed = (found: Machine) => startFailures.has(condition(found, 'Ready')?.reason ?? '');
  const isDecided = (found: Machine) => isRunning(found) || (bed.isForeign && hasFailed(found));
  return await running.untilMachine(name, 'runs', isDecided, bootMilliseconds);
}

/** Skips a check of a foreign image. The project's own guest must pass every check. */
function notApplicable(context: TestContext, reason: string): never {
  if (!bed.isForeign) throw new Error(`our own guest fails where others may: ${reason}`);
  return context.skip(reason);
}

type Command = (ports: CommandPorts) => Promise<number>;

/** Runs the command with a new terminal, unless one is given. */
function run(command: Command, terminal = new StandInTerminal()): Promise<Outcome> {
  return runAt(terminal, running.controlPlane.kubeconfigPath, command);
}

const execOf =
  (args: readonly string[], stdin = false): Command =>
  (ports) =>
    exec(name, args, { stdin, tty: false }, ports);
const shell = (script: string) => run(execOf(['sh', '-c', script]));
const readConsole: Command = (ports) => console(name, ports);

async function hasShell(): Promise<boolean> {
  return (await shell('exit 0')).code === 0;
}

function hasConsole(context: TestContext): void {
  if (name !== 'guest') notApplicable(context, 'the image has no shell for its console');
}

const numbersOf = (text: string) => [...text.matchAll(/counted (\d+)/g)].map(([, number]) => Number(number));
const range = (to: number) => Array.from({ length: to }, (_, index) => index);

describe('a real guest in the whole system', () => {
  it('shows its log and its system in the status of its VM', async () => {
    const head = async () => (await running.get(name))?.status.guestLog?.head[0] ?? '';
    await expect.poll(head, soon).toMatch(bed.isForeign ? /./ : /GCS started .*entropyBytes=512/);
    expect(machine.status['guest']).toMatchObject({ osType: 'linux', protocolVersion: 4 });
  });

  it('runs programs for kubectl luvm exec, with their input, output and exit codes', async (context) => {
    const uname = await plugin.run('exec', name, '--', 'uname', '-a');
    if (uname.stderr.includes('not found')) notApplicable(context, 'the image has no uname');
    expect(uname).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Linux .*x86_64/), stderr: '' });
    expect(await run(execOf(['nosuch']))).toMatchObject({ code: 1, stderr: expect.stringContaining('"nosuch"') });
    if (!(await hasShell())) notApplicable(context, 'the image has no sh');
    expect(await shell('echo yes; echo no >&2; exit 7')).toEqual({ code: 7, stdout: 'yes\n', stderr: 'no\n' });
    expect(await shell('kill -9 $$')).toEqual({ code: 255, stdout: '', stderr: 'the process was ended by a signal\n' });
    const terminal = new StandInTerminal();
    terminal.input.end('x'.repeat(300_000));
    const { code, stdout, stderr } = await run(execOf(['cat'], true), terminal);
    expect([code, stdout.length, stderr]).toEqual([0, 300_000, '']);
  });

  it('takes and gives files with kubectl luvm cp, whole or not at all', { timeout: 200_000 }, async (context) => {
    const needed = 'for tool in tar mv readlink dirname basename sha256sum; do command -v $tool || exit 1; done';
    if ((await shell(needed)).code !== 0) notApplicable(context, 'the image has no tar');
    const [here, back] = [join(folder, 'sent'), join(folder, 'back')];
    const bytes = randomBytes(copiedBytes);
    await writeFile(here, bytes);
    const sum = createHash('sha256').update(bytes).digest('hex');
    expect(await plugin.run('cp', here, `${name}:/run/copy`)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await shell('sha256sum /run/copy')).stdout).toContain(sum);
    expect(await plugin.run('cp', `luvm/${name}:/run/copy`, back)).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await readFile(back)).equals(bytes)).toBe(true);
    // A copy that its user interrupts.
    await shell('echo before > /run/cut');
    const cut = plugin.start('cp', here, `${name}:/run/cut`);
    await expect.poll(async () => (await shell('ls -a /run')).stdout, soon).toContain('.luvm-cp-');
    cut.kill('SIGKILL');
    await expect.poll(async () => (await shell('ls -a /run')).stdout, soon).not.toContain('.luvm-cp-');
    expect((await shell('cat /run/cut')).stdout).toBe('before\n');
    await shell('rm /run/copy /run/cut');
  });

  it('reports the stacks of its agent for kubectl luvm stacks', async () => {
    const { code, stdout, stderr } = await plugin.run('stacks', name);
    if (code === 0) expect(stdout).toMatch(/^goroutine \d+ \[/m);
    else expect(stderr).toContain('does not report its stacks');
  });

  it('gives a program that kubectl luvm exec -t runs the size of its user’s terminal', async (context) => {
    if ((await shell('command -v stty')).code !== 0) notApplicable(context, 'the image has no stty');
    const script = 'until [ "$(stty size 2>&1)" = "33 101" ]; do sleep 1; done; stty size';
    const sized: Command = (ports) => exec(name, ['sh', '-c', script], { stdin: false, tty: true }, ports);
    const { code, stdout } = await run(sized, new StandInTerminal({ height: 33, width: 101 }));
    expect({ code, stdout }).toEqual({ code: 0, stdout: '33 101\r\n' });
  });

  it('has a shell on its console, which everybody who is connected to the serial port can use', async (context) => {
    hasConsole(context);
    const folderOfGuests = `${running.system.node(nodeName).hostSocket}.guests`;
    await using serial = await openConsole(emulatedConsolePath(folderOfGuests, pipe));
    // A shell that is not ready yet ignores its input.
    await expect.poll(() => serial.tell('echo "<$((6 * 7))>"'), { ...soon, interval: 500 }).toContain('<42>');
  });

  it('prints the messages of its kernel for kubectl luvm console, for one reader at a time', async (context) => {
    hasConsole(context);
    const terminal = new StandInTerminal();
    const reading = run(readConsole, terminal);
    const says = async () => {
      await shell('echo "<3>heard on the console" > /dev/kmsg');
      return terminal.stdout;
    };
    await expect.poll(says, { ...soon, interval: 500 }).toMatch(/\[ *\d+\.\d{6}\] heard on the console/);
    expect(await run(readConsole)).toMatchObject({ code: 1, stderr: expect.stringContaining('another user') });
    await terminal.interrupt();
    expect((await reading).code).toBe(0);
  });

  it('cannot be reached by a user without the verb', async () => {
    const kubeconfig = await createReader(running, folder);
    const asReader = (command: Command) => runAt(new StandInTerminal(), kubeconfig, command);
    const read: Command = (ports) => logs(name, { follow: false, previous: false, tail: 1 }, ports);
    await running.until('RBAC knows the reader', async () => (await asReader(read)).code === 0);
    for (const refused of [await asReader(execOf(['uname'])), await asReader(readConsole)]) {
      expect(refused).toMatchObject({ code: 1, stdout: '' });
      expect(refused.stderr).toContain(`is forbidden: User "${reader}" cannot get resource`);
    }
  });
});

describe('a port of a real guest', () => {
  it('answers 1,000 HTTP requests over 50 connections through kubectl luvm port-forward', {
    timeout: 200_000,
  }, async (context) => {
    if (bed.isForeign) notApplicable(context, 'it is unknown on which ports the image listens');
    const { ports, stop, terminal } = await forwardPorts(plugin, name, ':vsock:80', ':vsock:81');
    const [http = 0, silent = 0] = ports;
    const answers = await requestsOver(http, { connections: 50, requests: 1_000 });
    expect(answers).toHaveLength(1_000);
    expect(new Set(answers)).toEqual(new Set(['Hello from the test guest: /x\n']));
    expect(terminal.lines.filter((line) => line === `Handling connection for ${http}`)).toHaveLength(50);
    await expect(requestsOver(silent, { connections: 1, requests: 1 })).rejects.toThrow();
    await terminal.until('the reason', ({ stderr }) => stderr.includes('no program of the guest listens there'));
    expect(await stop()).toBe(0);
  });
});

/**
 * Makes the guest's kernel log a counter, about twenty numbers a second, until it is told to stop. It continues when
 * its starter disconnects.
 */
const beginCounting = `
  echo on > /proc/sys/kernel/printk_devkmsg
  echo yes > /tmp/counting
  ( i=0
    while read go < /tmp/counting && [ "$go" = yes ]; do
      echo "<3>counted $i" > /dev/kmsg; i=$((i + 1)); sleep 0.05
    done
    echo $i > /tmp/counted ) > /dev/null 2>&1 &`;
const endCounting = 'echo no > /tmp/counting; until [ -s /tmp/counted ]; do sleep 0.1; done; cat /tmp/counted';

/** Follows the console, if the guest has one. */
function printConsole() {
  if (name !== 'guest') return { untilBeyond: async () => {}, leave: async () => {} };
  const terminal = new StandInTerminal();
  const printing = run(readConsole, terminal);
  return {
    untilBeyond: (number: number) =>
      terminal.until('the console counts', ({ stdout }) => (numbersOf(stdout).at(-1) ?? 0) > number),
    async leave() {
      await terminal.interrupt();
      expect((await printing).code).toBe(0);
    },
  };
}

describe('an operator that restarts', () => {
  it('loses and repeats no line of the guest; a process ends with a clear error and gets a hangup', async (context) => {
    if (!(await hasShell())) notApplicable(context, 'the image has no sh');
    const [follower, sleeper, cat] = [new StandInTerminal(), new StandInTerminal(), new StandInTerminal()];
    // The program itself is used, because it must keep running while no operator answers.
    const program = plugin.start('logs', '-f', name);
    program.stdout.pipe(follower.output);
    program.stderr.pipe(follower.errors);
    const ended = once(program, 'close');
    const printer = printConsole();
    const processes = [run(execOf(['sh', '-c', 'echo $$; exec sleep 1000']), sleeper), run(execOf(['cat'], true), cat)];
    await Promise.all([sleeper.until('its id', ({ lines }) => lines.length === 1), cat.untilStreaming()]);
    const begun = await shell(beginCounting);
    if (begun.code !== 0) notApplicable(context, `nobody may write to /dev/kmsg: ${begun.stderr}`);
    const counted = () => numbersOf(follower.stdout);
    await follower.until('the guest counts', () => counted().includes(10));
    await printer.untilBeyond(0);

    const { agent } = running.system.node(nodeName);
    const atAgent = async () => numbersOf(await readFile(agent.program.logFile, 'utf8')).at(-1) ?? 0;
    await running.system.operator.stop();
    const before = await atAgent();
    for (const outcome of await Promise.all(processes)) {
      expect(outcome).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^error: the connection (was lost|between the operator and the agent)/),
      });
    }
    await running.until('lines come without an operator', async () => (await atAgent()) > before + 10);
    await running.system.operator.start();
    await follower.until('it goes on', () => (counted().at(-1) ?? 0) > before + 10);
    await printer.untilBeyond(before + 10);
    await printer.leave();

    const total = Number((await shell(endCounting)).stdout);
    await follower.until('all lines', () => counted().length >= total);
    expect(counted()).toEqual(range(total));
    expect(follower.stderr).toContain('trying again');
    expect(follower.stderr).not.toContain('missing');
    expect((await shell(`kill -0 ${sleeper.lines[0]}`)).code).not.toBe(0);
    program.kill();
    await ended;
  }, 240_000);
});

describe('a VM with a process', () => {
  const script = (text: string, env: Record<string, string> = {}) => ({
    command: ['/bin/sh', '-c', text],
    env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
    workingDirectory: '/tmp',
  });
  const process = ({ status }: Machine) => status['process'];
  const logOf = async (named: string) => {
    const read: Command = (ports) => logs(named, { follow: false, previous: false }, ports);
    return (await run(read)).stdout;
  };

  it('is a job: its output is in the log, and its exit code in the status', { timeout: 400_000 }, async (context) => {
    if ((await shell('command -v seq')).code !== 0) notApplicable(context, 'the image has no seq');
    const text = 'echo "in $PWD with $A"; env | wc -l; seq 100000 199999; echo error >&2; exit 3';
    await applyGuest('job', { runStrategy: 'Once', process: script(text, { A: 'b c' }) });
    const isOver = (found: Machine) => condition(found, 'Ready')?.reason === 'Failed';
    const over = await running.untilMachine('job', 'has failed', isOver, bootMilliseconds);
    expect(process(over)).toMatchObject({ state: 'Exited', exitCode: 3 });
    expect(over.status['lastExit']).toMatchObject({ message: 'the process ended with exit code 3' });
    const log = await logOf('job');
    expect(log).toMatch(/ info in \/tmp with b c source=process\n/);
    expect(log).toMatch(/ info error stream=stderr source=process\n/);
    const seen = [...log.matchAll(/ info (\d{6}) source=process$/gm)].map(([, number]) => Number(number));
    expect(seen).toEqual(range(200_000).slice(100_000));
    await running.kubectl(['delete', 'luvm', 'job']);
  });

  it('is a service: it gets TERM when the VM is halted, and time to end', { timeout: 400_000 }, async (context) => {
    if (!(await hasShell())) notApplicable(context, 'the image has no sh');
    const text = 'trap "echo good bye; exit 7" TERM; echo serving; while :; do sleep 0.1; done';
    await applyGuest('service', { process: script(text) });
    await running.untilMachine('service', 'serves', isRunning, bootMilliseconds);
    await expect.poll(() => logOf('service'), soon).toContain(' info serving source=process');
    await applyGuest('service', { process: script(text), runStrategy: 'Halted' });
    const isHalted = (found: Machine) => condition(found, 'Ready')?.reason === 'Halted';
    const halted = await running.untilMachine('service', 'is halted', isHalted, bootMilliseconds);
    expect(process(halted)).toMatchObject({ state: 'Exited', exitCode: 7 });
    expect(await logOf('service')).toContain(' info good bye source=process');
    await running.kubectl(['delete', 'luvm', 'service']);
  });
});
