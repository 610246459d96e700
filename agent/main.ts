#!/usr/bin/env node
// The program `lcow-agent`: without a subcommand, the agent of a Windows node.
import './thread-pool.ts';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Command, Option } from 'commander';
import { plainText } from '../runtime/plain-text.ts';
import type { ConvertCommandOptions } from './commands/convert.ts';
import type { DoctorCommandOptions } from './commands/doctor.ts';
import type { CommandIO, DocumentCommandOptions } from './commands/document.ts';
import { allowedOptions, defaultStateDir, operatorUrl } from './commands/flags.ts';
import { endAnyway, type NodeKind, type RunSettings, runCommand } from './commands/run.ts';
import { version } from './commands/version.ts';
import { windowsStorage } from './windows/state-storage.ts';

interface WindowsSettings extends RunSettings {
  readonly isolation?: 'snp';
}

const commandIO: CommandIO = {
  read: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
  out: (line) => process.stdout.write(`${line}\n`),
  problem: (line) => process.stderr.write(`${plainText(line)}\n`),
};

/** Native code is loaded only when the agent connects to HCS. */
const windowsNode: NodeKind<WindowsSettings> = {
  options: [
    new Option('--isolation <kind>', 'declare that this host can run VMs with this isolation').choices(['snp']),
  ],
  access: ({ isolation }) => ({
    storage: windowsStorage,
    async connect() {
      const { connectWindowsNode } = await import('./windows/node.ts');
      return await connectWindowsNode({ isolation: isolation === 'snp' ? ['SNP'] : [] });
    },
  }),
  async listenForShutdown(stop, milliseconds) {
    const { onShutdown } = await import('./windows/shutdown-signal.ts');
    return await onShutdown(stop, milliseconds);
  },
};

function program(exitWith: (code: number) => void): Command {
  const agent = new Command('lcow-agent')
    .description('Runs the Linux utility VMs of a Windows node for the lcow-operator.')
    .version(version)
    .enablePositionalOptions();
  const run = runCommand(windowsNode, exitWith).hook('preAction', (command) => {
    if (process.platform !== 'win32') command.error('lcow-agent: the agent runs on Windows only');
  });
  agent.addCommand(run, { isDefault: true });
  addTools(agent, exitWith);
  return agent;
}

/** Commands that people run by hand. */
function addTools(agent: Command, exitWith: (code: number) => void): void {
  agent
    .command('document')
    .description('print the HCS document of each VM in the manifests for a given host, one JSON line each')
    .requiredOption('--host <file>', 'description of the host: architecture, build, logicalProcessors, files …')
    .requiredOption('-f, --filename <file...>', 'files with manifests; - is standard input')
    .option('--pretty', 'indent the output')
    .action(async (settings: DocumentCommandOptions) => {
      // Loaded on demand: a running agent needs neither YAML nor the schemas of manifests.
      const { documentCommand } = await import('./commands/document.ts');
      exitWith(await documentCommand(settings, commandIO));
    });
  agent
    .command('convert')
    .description('print the manifest of a LinuxUtilityVM for the annotations of a pod on hcsshim')
    .requiredOption(
      '--annotations <file>',
      'JSON object of annotations, OCI spec, or manifest of a Pod, in JSON or YAML; - is standard input',
    )
    .option('--name <name>', 'name of the VM (default: that of the Pod)')
    .option('--namespace <name>', 'namespace of the VM (default: that of the Pod)')
    .option('--host <file>', 'description of a host, for which to compare the documents of hcsshim and of the agent')
    .option('--owner <name>', 'with --host: owner in the document of hcsshim (default: that of the agent)')
    .action(async (settings: ConvertCommandOptions) => {
      const { convertCommand } = await import('./commands/convert.ts');
      exitWith(await convertCommand(settings, commandIO));
    });
  addDoctor(agent, exitWith);
}

function addDoctor(agent: Command, exitWith: (code: number) => void): void {
  const doctor = agent
    .command('doctor')
    .description('check whether this node has what the agent needs, and say how to fix what is missing')
    .option('--operator-url <url>', 'also check that the operator answers at this address', operatorUrl)
    .option('--token-file <path>', 'also check this token')
    .option('--ca-file <path>', 'also check this CA certificate of the operator')
    .option('--state-dir <path>', 'state folder of the agent', defaultStateDir)
    .addOption(
      new Option('--isolation <kind>', 'also check that the host can run VMs with this isolation').choices(['snp']),
    )
    .option('--json', 'print one JSON array instead of lines')
    .action(async (settings: DoctorCommandOptions) => {
      const { doctorCommand } = await import('./commands/doctor.ts');
      const { systemPorts } = await import('./doctor/system-ports.ts');
      exitWith(await doctorCommand(settings, systemPorts, commandIO.out));
      endAnyway();
    });
  for (const option of allowedOptions) doctor.addOption(option);
}

await program((code) => {
  process.exitCode = code;
}).parseAsync();
