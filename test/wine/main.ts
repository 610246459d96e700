// `npm run test:wine` tests the Windows half on the Windows build of Node, under wine. `--help` says more.
import assert from 'node:assert/strict';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { programOf } from '../../images/programs.ts';
import { makeRootFileSystem } from '../../images/rootfs.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { AgentUnderWine } from '../support/wine/agent-under-wine.ts';
import { missingPackages } from '../support/wine/bed.ts';
import { type AgentProgram, InstalledAgent } from '../support/wine/installed-agent.ts';
import { Windows } from '../support/wine/windows.ts';
import { adoption, lifeOfAnAgent } from './agent-scenarios.ts';
import { Report } from './report.ts';

interface Context {
  readonly windows: Windows;
  readonly report: Report;
  readonly preparations: Preparations;
}

interface Step {
  readonly name: string;
  readonly what: string;
  readonly run: (context: Context) => Promise<void>;
}

const steps: readonly Step[] = [
  {
    name: 'contract',
    what: 'the contract of HCS backends, through koffi',
    run: suite('test/wine/backend-contract.ts'),
  },
  { name: 'sockets', what: 'the socket pump', run: suite('test/agent/windows/hvsock/sockets.system.test.ts') },
  {
    name: 'connections',
    what: 'connections to a guest',
    run: suite('test/agent/windows/hvsock/connections.system.test.ts'),
  },
  {
    name: 'console',
    what: 'the reader of consoles on named pipes',
    run: suite('test/agent/windows/console-pipe.test.ts'),
  },
  {
    name: 'files',
    what: 'files, access lists, journal, guest logs, lock, host facts',
    run: suite('test/wine/files.ts', 'test/agent/vm/journal.test.ts', 'test/agent/guest-log/file.test.ts'),
  },
  { name: 'shutdown', what: 'the event with which Windows ends a pod', run: suite('test/wine/shutdown.ts') },
  { name: 'agent', what: 'a whole agent with a real operator', run: agentStep },
  { name: 'adoption', what: 'a VM that outlives its agent, with HCS as a process of its own', run: adoptionStep },
  { name: 'image', what: 'both unpacked images as Helm installs them', run: imageStep },
];

const help = `Usage: npm run test:wine [-- <step>...]

Runs the Windows half on Node for Windows under wine, with stand-ins for computecore.dll and Hyper-V sockets. It needs
Debian's wine64 and gcc-mingw-w64-x86-64-win32. What it downloads and builds is kept in the cache folder.

Steps, all unless some are named:
${steps.map(({ name, what }) => `  ${name.padEnd(10)}${what}`).join('\n')}
`;

const suiteMilliseconds = 120_000;

/** Test files, which the Node of Windows runs one after another. */
function suite(...files: readonly string[]): Step['run'] {
  return async ({ windows, report }) => {
    for (const file of files) {
      const program = await windows.start(join(windows.tree, file), []);
      const code = await program.ended(suiteMilliseconds);
      const output = await program.output();
      const count = (what: string) => Number(new RegExp(`^\\S+ ${what} (\\d+)\\r?$`, 'm').exec(output)?.[1]);
      if (code !== 0 || !(count('pass') > 0) || count('fail') + count('cancelled') + count('skipped') !== 0)
        throw new Error(`${file}: exit code ${code}\n${output}`);
      report.passed(`${count('pass')} tests of ${file}`, count('pass'));
    }
  };
}

async function agentStep({ preparations, report }: Context): Promise<void> {
  const bed = await preparations.bed();
  await lifeOfAnAgent(bed, report).finally(() => bed.killAgents());
}

async function adoptionStep({ preparations, report }: Context): Promise<void> {
  const bed = await preparations.bed();
  await adoption(bed, report).finally(() => bed.killAgents());
}

async function imageStep({ windows, preparations, report }: Context): Promise<void> {
  const program = await preparations.image();
  await report.test('starts and says its version', async () => {
    const asked = await windows.start(program.script, ['--version'], { node: program.node });
    const code = await asked.ended(suiteMilliseconds);
    const said = (await asked.output()).trim();
    if (code !== 0 || said !== packageJson.version) throw new Error(`exit code ${code}: ${said}`);
  });
  const installed = await preparations.installed();
  await report.test('runs with what its chart says, and is ready', async () => {
    await installed.installAgent();
    assert.equal(await installed.pod(), `${installed.nodeName}/true`);
  });
  await report.test('connects to the operator that Helm installed, with its projected token', () =>
    installed.connected(),
  );
  await report.test('brings the example to Ready', () => installed.run('ordinary'));
  await report.test('deletes it, and nothing is left', () => installed.delete('ordinary'));
}

/** Slow preparations for the last steps. They start with the first step. A step that awaits them gets their failure. */
class Preparations implements AsyncDisposable {
  readonly #bed: Promise<AgentUnderWine> | undefined;
  readonly #image: Promise<AgentProgram> | undefined;
  readonly #installed: Promise<InstalledAgent> | undefined;

  constructor(windows: Windows, wanted: readonly Step[]) {
    const wants = (...names: readonly string[]) => wanted.some(({ name }) => names.includes(name));
    if (wants('agent', 'adoption')) this.#bed = AgentUnderWine.prepare(windows);
    if (wants('image')) {
      this.#image = makeImage(windows);
      this.#installed = InstalledAgent.prepare(windows, this.#image);
    }
    void Promise.allSettled([this.#bed, this.#image, this.#installed]);
  }

  async bed(): Promise<AgentUnderWine> {
    return (await this.#bed) ?? assert.fail('no step said that it wants it');
  }

  async image(): Promise<AgentProgram> {
    return (await this.#image) ?? assert.fail('no step said that it wants it');
  }

  async installed(): Promise<InstalledAgent> {
    return (await this.#installed) ?? assert.fail('no step said that it wants it');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const prepared = await Promise.allSettled([this.#installed, this.#bed]);
    for (const each of prepared) if (each.status === 'fulfilled') await each.value?.[Symbol.asyncDispose]();
    await Promise.allSettled([this.#image]);
  }
}

async function makeImage(windows: Windows): Promise<AgentProgram> {
  const image = programOf('agent');
  const { folder } = await makeRootFileSystem(image, join(windows.folder, 'image'));
  const home = join(folder, image.folder);
  const node = join(home, 'node.exe');
  // The same Node, without one call that this version of wine lacks.
  await copyFile(windows.bed.node, node);
  return { node, script: join(home, 'agent/main.js') };
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => steps.every((step) => step.name !== name));
  if (unknown !== undefined) {
    process.stderr.write(`there is no step ${unknown}\n\n${help}`);
    return 2;
  }
  const missing = await missingPackages();
  if (missing !== undefined) {
    process.stderr.write(`test:wine cannot run: ${missing} is not there; apt-get install it\n`);
    return 3;
  }
  const report = new Report();
  const held = new AsyncDisposableStack();
  // Disposing a stack a second time does nothing.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void held.disposeAsync().finally(() => process.exit(1)));
  try {
    await runSteps(names, report, held);
  } finally {
    await held.disposeAsync();
  }
  return report.end();
}

async function runSteps(names: readonly string[], report: Report, held: AsyncDisposableStack): Promise<void> {
  report.say('starting wine');
  const windows = held.use(await Windows.start(() => report.say('another run has wine; waiting until it ends')));
  const wanted = steps.filter((step) => names.length === 0 || names.includes(step.name));
  const preparations = held.use(new Preparations(windows, wanted));
  for (const { name, what, run } of wanted) {
    if (held.disposed) return;
    await report.step(`${name}: ${what}`, () => run({ windows, report, preparations }));
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', short: 'h' } },
});
if (values.help === true) process.stdout.write(help);
else process.exitCode = await main(positionals);
