// A VM with a process, for its user: the exit code in its status, its columns and its reasons, and the output in its log.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { logs } from '../../kubectl/logs.ts';
import { status } from '../../kubectl/status.ts';
import { threeHosts } from '../../simulator/playground/system.ts';
import { runAt, StandInTerminal } from '../support/kubectl/stand-in-terminal.ts';
import { condition, isReady, type Machine, RunningSystem } from '../support/system/running-system.ts';

let running: RunningSystem;

beforeAll(async () => {
  running = await RunningSystem.start(threeHosts);
  await running.system.installApiService();
}, 900_000);
afterAll(() => running[Symbol.asyncDispose]());

const isSettledAs = (reason: string) => (found: Machine) => condition(found, 'Ready')?.reason === reason;
const shell = (script: string) => ({ command: ['/bin/sh', '-c', script] });
const atTerminal = (command: Parameters<typeof runAt>[2]) =>
  runAt(new StandInTerminal(), running.controlPlane.kubeconfigPath, command);
const exitColumn = async (name: string) => {
  const [head = '', row = ''] = (await running.kubectl(['get', 'luvm', name, '-o', 'wide'])).split('\n');
  const at = head.indexOf('EXIT ', head.indexOf('LAST EXIT') + 'LAST EXIT'.length);
  return row.slice(at).split(/\s/)[0];
};

it('a batch job with 0 is Completed, and its output is in the log', async () => {
  await running.apply('good', { runStrategy: 'Once', process: shell('echo result 42; exit 0') });
  const found = await running.untilMachine('good', 'is completed', isSettledAs('Completed'));
  expect(found.status).toMatchObject({ phase: 'Stopped', process: { state: 'Exited', exitCode: 0 } });
  expect(isReady(found)).toBe(true);
  expect(await exitColumn('good')).toBe('0');
  const read = await atTerminal((ports) => logs('good', { follow: false, previous: false }, ports));
  expect(read.stdout).toMatch(/info result 42 source=process\n/);
  await running.kubectl(['delete', 'luvm', 'good', '--timeout=30s']);
});

it('a batch job with 3 is Failed with that code, and stays so', async () => {
  await running.apply('bad', { runStrategy: 'Once', process: shell('exit 3') });
  const found = await running.untilMachine('bad', 'has failed', isSettledAs('Failed'));
  expect(found.status).toMatchObject({ phase: 'Failed', process: { state: 'Exited', exitCode: 3 }, restarts: 0 });
  expect(condition(found, 'Stalled')?.status).toBe('True');
  expect(condition(found, 'Ready')?.message).toBe('the process ended with exit code 3');
  expect(await exitColumn('bad')).toBe('3');
  const shown = await atTerminal((ports) => status({ names: ['bad'] }, ports));
  expect(shown.stdout).toMatch(/\nprocess exited: exit code 3, since \S+, until \S+\n/);
  // The next leader finds the same in the stored status.
  await running.system.operator.stop();
  await running.system.operator.start();
  await running.untilMachine('bad', 'is known again', isSettledAs('Failed'));
  expect(await exitColumn('bad')).toBe('3');
  await running.kubectl(['delete', 'luvm', 'bad', '--timeout=30s']);
});

it('a service is ready while its program runs, and is started again when it ends', async () => {
  await running.apply('served', { process: shell('echo up; sleep 1000') });
  await running.kubectl(['wait', '--for=condition=Ready', '--timeout=30s', 'luvm/served']);
  expect((await running.get('served'))?.status).toMatchObject({ process: { state: 'Running' } });
  await running.apply('again', { process: shell('exit 0') });
  await running.untilMachine('again', 'is started again', ({ status: now }) => (now.restarts ?? 0) > 0);
  await running.kubectl(['delete', 'luvm', 'served', 'again', '--timeout=30s']);
});
