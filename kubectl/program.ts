// The command line of the plugin. A command's code is loaded when it is used, so that `--version`, `--help` and
// completion answer at once.
import { Command, Option } from 'commander';
import {
  type ChildRunner,
  Commands,
  type ConnectionFlags,
  duration,
  type LocalRunner,
  type OutputFlag,
  type Runner,
  type SelectorFlag,
  time,
  timeout,
  wholeNumber,
  withConnection,
  withOutput,
  withSelector,
} from './command-line.ts';
import type { ConvertFlags } from './convert.ts';
import { addRollout } from './rollout/command-line.ts';
import { type TopOrder, topOrders } from './top/order.ts';
import { type Goal, goals } from './waiting/goals.ts';

export function createProgram(
  version: string,
  run: Runner,
  runLocally: LocalRunner,
  printVersion: (version: string) => void,
  childRunner: (flags: ConnectionFlags) => ChildRunner,
): Command {
  const program = withConnection(new Command('kubectl-luvm'))
    .description(
      'Shows logs, consoles, documents and loads of Linux utility VMs, runs processes and copies files in them, and forwards ports.',
    )
    .usage('<command> [flags]')
    .version(version);
  const add = new Commands(program, run);
  addLogs(add);
  addGuestCommands(add);
  addPortForward(add);
  addAnnotationCommands(add);
  addInspectionCommands(add);
  addRollout(add);
  addWait(add);
  addTop(add);
  addDashboard(add, childRunner);
  addDebug(add, version);
  addConvert(program, runLocally);
  program
    .command('version')
    .description('print the version of the plugin')
    .action(() => printVersion(version));
  return program;
}

interface LogsFlags extends SelectorFlag {
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly tail?: number;
  readonly since?: number;
  readonly sinceTime?: number;
  readonly timestamps?: boolean;
  readonly prefix?: boolean;
  readonly maxLogRequests: number;
}

function addLogs(commands: Commands): void {
  const command = commands
    .add('logs', 'print the log of a VM’s guest; with -f also new lines, across restarts of VM, agent and operator')
    .argument('[names...]', 'NAME or luvm/NAME')
    .option('-f, --follow', 'also print new lines')
    .option('-p, --previous', 'print the log of the run before the latest one')
    .option(
      '--tail <lines>',
      'print only the last lines (default: all lines of the run that the node still has; 10 with a selector)',
      wholeNumber,
    )
    .addOption(
      new Option('--since <duration>', 'print only lines that the guest wrote later, such as 5m')
        .argParser(duration)
        .conflicts('sinceTime'),
    )
    .option('--since-time <time>', 'print only lines that the guest wrote after this time (RFC 3339)', time)
    .option('--timestamps', 'begin each line with a time, also those to which the guest gave none')
    .option('--prefix', 'begin each line with the name of its VM')
    .option('--max-log-requests <number>', 'how many logs may be followed at once', wholeNumber, 5);
  withSelector(command);
  commands.does<LogsFlags>(command, async (names, flags, ports) => {
    const { follow = false, maxLogRequests, prefix, previous = false, selector, tail, timestamps } = flags;
    const { selectedLogs } = await import('./logs.ts');
    const since = flags.since === undefined ? flags.sinceTime : ports.clock.now() - flags.since;
    const options = { follow, previous, tail, since, timestamps, prefix, maxLogRequests };
    return await selectedLogs({ names, selector }, options, ports);
  });
}

function addGuestCommands(commands: Commands): void {
  const exec = commands
    .add('exec', 'run a process in the guest, and end with its exit code')
    .argument('<name>', 'NAME or luvm/NAME')
    .argument('<command...>', 'command and arguments, after --')
    .option('-i, --stdin', 'forward standard input to the process')
    .option('-t, --tty', 'give the process a terminal with the current size of this one');
  commands.does<{ readonly stdin?: boolean; readonly tty?: boolean }>(
    exec,
    async ([name = '', ...words], { stdin = false, tty = false }, ports) =>
      await (await import('./exec.ts')).exec(await nameOf(name), words, { stdin, tty }, ports),
  );
  const cp = commands
    .add('cp', 'copy a file or folder into a guest or out of it')
    .argument('<from>', 'a path here, or VM:PATH in a guest')
    .argument('<to>', 'the other place');
  commands.does(cp, async ([from = '', to = ''], _flags, { api, terminal }) => {
    const [{ copy }, { runInGuest }] = await Promise.all([import('./copy/copy.ts'), import('./copy/guest-process.ts')]);
    const isWindows = process.platform === 'win32';
    return await copy(from, to, { terminal, guest: (name) => runInGuest(api, name), isWindows });
  });
  const console = commands
    .add('console', 'print the output of the VM’s serial port until Ctrl-C')
    .argument('<name>', 'NAME or luvm/NAME');
  commands.does(
    console,
    async ([name = ''], _flags, ports) => await (await import('./console.ts')).console(await nameOf(name), ports),
  );
}

function addPortForward(commands: Commands): void {
  const command = commands
    .add('port-forward', 'connect local ports to vsock ports of the guest, until Ctrl-C')
    .argument('<name>', 'NAME or luvm/NAME')
    .argument('<ports...>', 'vsock:PORT, LOCAL:vsock:PORT, or :vsock:PORT for a free local port')
    .option('--address <addresses>', 'IP addresses to listen on, or localhost, separated by commas', '127.0.0.1');
  commands.does<{ readonly address: string }>(
    command,
    async ([name = '', ...forwards], { address }, ports) =>
      await (await import('./port-forward/port-forward.ts')).portForward(
        await nameOf(name),
        { forwards, address },
        ports,
      ),
  );
}

function addAnnotationCommands(commands: Commands): void {
  const descriptions = {
    restart: 'restart VMs with the annotation lcow.dev/restartedAt',
    pause: 'leave VMs as they are with the annotation lcow.dev/paused, whatever their manifests say',
    resume: 'remove the annotation lcow.dev/paused',
  } as const;
  for (const verb of ['restart', 'pause', 'resume'] as const) {
    const command = commands.add(verb, descriptions[verb]).argument('[names...]', 'NAME or luvm/NAME');
    withOutput(withSelector(command));
    commands.does<SelectorFlag & OutputFlag>(command, async (names, { output, selector }, ports) => {
      const annotate = await import('./annotate.ts');
      return await annotate[verb]({ names, selector, output }, ports);
    });
  }
}

function addInspectionCommands(commands: Commands): void {
  const status = commands
    .add('status', 'summarise VMs: the phases of their boot, and their problems')
    .argument('[names...]', 'NAME or luvm/NAME (default: all VMs of the namespace)');
  withOutput(withSelector(status));
  commands.does<SelectorFlag & OutputFlag>(
    status,
    async (names, { output, selector }, ports) =>
      await (await import('./status.ts')).status({ names, selector, output }, ports),
  );
  const stacks = commands
    .add('stacks', 'print the stacks of the guest agent, to see where a guest hangs')
    .argument('<name>', 'NAME or luvm/NAME');
  commands.does(
    stacks,
    async ([name = ''], _flags, ports) => await (await import('./stacks.ts')).stacks(await nameOf(name), ports),
  );
  const document = commands
    .add('document', 'print the document that the agent sent to the Host Compute Service')
    .argument('<name>', 'NAME or luvm/NAME')
    .option('--pretty', 'indent the output');
  commands.does<{ readonly pretty?: boolean }>(
    document,
    async ([name = ''], { pretty = false }, ports) =>
      await (await import('./document.ts')).document(await nameOf(name), { pretty }, ports),
  );
}

interface WaitFlags extends SelectorFlag {
  readonly for: Goal;
  readonly timeout?: number;
}

function addWait(commands: Commands): void {
  const command = commands
    .add('wait', 'wait until VMs are ready, halted, completed or deleted; ends with the reason when they will not be')
    .argument('[names...]', 'NAME or luvm/NAME')
    .addOption(new Option('--for <state>', 'what to wait for').choices(goals).default('ready'))
    .option('--timeout <time>', 'give up after this time, such as 5m (default: never)', timeout);
  withSelector(command);
  commands.does<WaitFlags>(command, async (names, flags, ports) => {
    const { for: goal, selector, timeout: timeoutMilliseconds } = flags;
    const { wait } = await import('./waiting/wait.ts');
    return await wait({ names, selector, goal, timeoutMilliseconds }, ports);
  });
}

interface TopFlags extends SelectorFlag, OutputFlag {
  readonly allNamespaces?: boolean;
  readonly hosts?: boolean;
  readonly sortBy: TopOrder;
  readonly watch?: boolean;
}

function addTop(commands: Commands): void {
  const command = commands
    .add('top', 'show what VMs or hosts use: processors, memory and lines of log')
    .argument('[names...]', 'NAME or luvm/NAME, or names of hosts (default: all)')
    .option('-A, --all-namespaces', 'the VMs of all namespaces')
    .option('--hosts', 'show hosts, with the sums over their VMs')
    .addOption(new Option('--sort-by <figure>', 'what comes first').choices(topOrders).default('cpu'))
    .option('-w, --watch', 'show it again every two seconds, until Ctrl-C')
    .addOption(new Option('--no-watch').hideHelp());
  withOutput(withSelector(command));
  commands.does<TopFlags>(command, async (names, flags, ports) => {
    const { allNamespaces = false, hosts = false, output, selector, sortBy: order, watch = false } = flags;
    const { top } = await import('./top/top.ts');
    return await top({ names, selector, allNamespaces, hosts, order, watch, output }, ports);
  });
}

interface DashboardFlags extends SelectorFlag, ConnectionFlags {
  readonly allNamespaces?: boolean;
}

function addDashboard(commands: Commands, childRunner: (flags: ConnectionFlags) => ChildRunner): void {
  const command = commands
    .add('dashboard', 'show VMs, hosts and sets on the whole terminal, as they change')
    .option('-A, --all-namespaces', 'the VMs and sets of all namespaces');
  withSelector(command);
  commands.does<DashboardFlags>(command, async (_, flags, ports) => {
    const { dashboard } = await import('./dashboard/dashboard.ts');
    const { allNamespaces = false, selector } = flags;
    // https://no-color.org
    const hasColours = (process.env['NO_COLOR'] ?? '') === '';
    return await dashboard({ allNamespaces, selector, hasColours, runChild: childRunner(flags) }, ports);
  });
}

function addDebug(commands: Commands, version: string): void {
  const command = commands
    .add('debug', 'collect what a bug report needs about a VM in one archive, without secrets')
    .argument('<name>', 'NAME or luvm/NAME')
    .option('--file <file>', 'the archive (default: a name with VM and time, in the current folder)');
  commands.does<{ readonly file?: string }>(command, async ([name = ''], { file }, ports) => {
    const [{ debug }, { writeNew }] = await Promise.all([import('./debug/debug.ts'), import('./new-file.ts')]);
    return await debug(await nameOf(name), { file, version, writeNew }, ports);
  });
}

function addConvert(program: Command, runLocally: LocalRunner): void {
  program
    .command('convert')
    .description('print the manifest of a VM for the annotations of a pod on hcsshim; asks no cluster')
    .requiredOption(
      '--annotations <file>',
      'JSON object of annotations, OCI spec, or manifest of a Pod, in JSON or YAML; - is standard input',
    )
    .option('--name <name>', 'name of the VM (default: that of the Pod)')
    .action(async (_, command: Command) => {
      const flags = command.optsWithGlobals<ConvertFlags>();
      await runLocally(async (terminal) => (await import('./convert.ts')).convertFile(flags, terminal));
    });
}

async function nameOf(text: string): Promise<string> {
  return (await import('./machines.ts')).machineName(text);
}
