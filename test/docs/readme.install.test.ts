// README.md shows what really happens.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { runStrategies } from '../../protocol/messages.ts';
import { kubectl, runKubectl } from '../support/control-plane/kubectl.ts';
import { sharedCluster } from '../support/control-plane/shared-cluster.ts';
import { filesOf, follow, run, type Shell, stepsOf } from '../support/docs/steps.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const patience = { timeout: 60_000, interval: 250 };
const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map((match) => match[1] ?? '');

it('the API server accepts the manifests of README.md', async () => {
  const manifests = blocks('yaml');
  expect(manifests.length).toBeGreaterThan(0);
  for (const manifest of manifests) {
    await kubectl(await sharedCluster(), ['apply', '--server-side', '--dry-run=server', '-f', '-'], manifest);
  }
});

it('README.md quotes the real refusal of the API server', async () => {
  const bad = {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name: 'bad' },
    spec: { memory: { enableDeferredCommit: true, allowOvercommit: false } },
  };
  const { stderr } = await runKubectl(await sharedCluster(), ['apply', '-f', '-'], JSON.stringify(bad));
  expect(readme.replaceAll(/\s+/g, ' ')).toContain(stderr.trim().replaceAll(/\s+/g, ' '));
});

it('the table of run strategies in README.md is complete', () => {
  for (const strategy of runStrategies) expect(readme).toContain(`| \`${strategy}\` |`);
});

describe('its first steps', () => {
  let folder: string;
  let shell: Shell;
  let started: ReturnType<typeof spawn>;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'readme-'));
    for (const [name, content] of filesOf(readme)) await writeFile(join(folder, name), content);
    expect(readme).toContain('\nnpm start\n');
    // The command that npm would run. npm in between would have to pass the signal on.
    const [, ...words] = packageJson.scripts.start.split(' ');
    const child = spawn(process.execPath, words, { cwd: project, stdio: ['ignore', 'pipe', 'ignore'] });
    started = child;
    const [program = '', kubeconfig = ''] = await kubectlLineOf(child.stdout);
    const environment = { ...process.env, PATH: `${dirname(program)}:${process.env['PATH']}`, KUBECONFIG: kubeconfig };
    shell = { folder, environment };
    await settled();
  }, 900_000);

  afterAll(async () => {
    const ended = started.exitCode === null ? once(started, 'exit') : undefined;
    started.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  });

  // The order in which hosts connect, and so the placement, differs between starts.
  const steps = stepsOf(readme).map(({ command, output }) => ({
    command,
    output: output.replaceAll(/^(win-\S+ +True +\d+ +\d+ +)\d+/gm, '$1…').replaceAll(/\bwin-\d+-a\b/g, '…'),
  }));
  it.each(steps)('$command', { timeout: 90_000 }, (step) => follow(step, shell));

  it('end with a command that prints a document', async () => {
    const [, command = ''] = /^```\n(node agent\/main\.ts document .*)\n```$/m.exec(readme) ?? [];
    const environment = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
    const said = await run(command, { folder: project, environment });
    expect(JSON.parse(said)).toMatchObject({ name: 'pinned', document: { VirtualMachine: {} } });
  });

  /** The program and the kubeconfig in the command line that it prints. */
  async function kubectlLineOf(output: Readable): Promise<readonly string[]> {
    const lines = createInterface(output);
    for await (const line of lines) {
      const [, ...found] = /^ {2}(\S+\/kubectl) --kubeconfig (\S+) get luvm /.exec(line) ?? [];
      if (found.length > 0) {
        output.resume();
        return found;
      }
    }
    throw new Error('npm start ended without a line for kubectl');
  }

  /** Waits until the examples have the states that the table of the page shows. */
  async function settled(): Promise<void> {
    const states = ['Running=8', 'Stopped=3', 'Failed=2'];
    await vi.waitFor(async () => {
      const phases = await run("kubectl get luvm -o jsonpath='{.items[*].status.phase}'", shell);
      for (const state of states) {
        const [phase, count] = state.split('=');
        expect(phases.split(' ').filter((each) => each === phase)).toHaveLength(Number(count));
      }
    }, patience);
  }
});
