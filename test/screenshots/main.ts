// `npm run screenshots`: makes the pictures in docs/images/ from a running system: control plane, operator, three
// simulated hosts with their agents.
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PseudoTerminal } from '../support/kubectl/pseudo-terminal.ts';
import { isRunning, RunningSystem } from '../support/system/running-system.ts';
import { pngOf } from './picture.ts';

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));
const program = fileURLToPath(new URL('../../kubectl/main.ts', import.meta.url));

const set = {
  apiVersion: 'lcow.dev/v1alpha1',
  kind: 'LinuxUtilityVMSet',
  metadata: { name: 'web' },
  spec: { replicas: 4, template: { spec: { memory: { sizeInMB: 1024 } } } },
};

mkdirSync(folder, { recursive: true });
await using running = await RunningSystem.start();
await running.kubectl(['apply', '--server-side', '-f', '-'], JSON.stringify(set));
await running.apply('build-cache', { memory: { sizeInMB: 2048 } });
await running.apply('nightly-report', { runStrategy: 'Halted' });
await running.apply('old-kernel', { boot: { kernelFile: 'vmlinux-5.10' } });
await running.apply('gpu-batch', { nodeSelector: { 'example.com/gpu': 'true' } });
await running.untilMachine('build-cache', 'runs', isRunning);
for (const ordinal of [0, 1, 2, 3]) await running.untilMachine(`web-${ordinal}`, 'runs', isRunning);
await running.until('the others are judged', async () => {
  const found = await Promise.all(['nightly-report', 'old-kernel', 'gpu-batch'].map((name) => running.get(name)));
  return found.every((each) => (each?.status.conditions.length ?? 0) > 0);
});

const command = [process.execPath, program, 'dashboard', `--kubeconfig=${running.controlPlane.kubeconfigPath}`];
await using terminal = new PseudoTerminal({ command, rows: 24, columns: 100, env: { NO_COLOR: '' } });
await terminal.until('the VMs', ({ text }) => text.includes('[1 VMs 8]') && text.includes('gpu-batch'));
picture('dashboard-vms');
terminal.type('2');
await terminal.until('the hosts', ({ text }) => text.includes('[2 hosts'));
picture('dashboard-hosts');
terminal.type('3');
await terminal.until('the sets', ({ text }) => text.includes('[3 sets'));
picture('dashboard-sets');
terminal.type('q');
await terminal.ended();

function picture(name: string): void {
  writeFileSync(`${folder}${name}.png`, pngOf(terminal.cells));
  process.stdout.write(`docs/images/${name}.png\n`);
}
