// How much an idle system writes to the API server: writes to lcow.dev objects and Events within two minutes, from the
// API server's own metrics, while every guest logs a line a second and one agent loses its connection and reconnects.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunningSystem } from '../support/system/running-system.ts';

const machines = 9;
const quietSeconds = 120;
/** Longer than three missed pings, and shorter than the time after which a host counts as disconnected. */
const frozenSeconds = 40;

export interface IdleFigure {
  readonly writes: number;
  readonly events: number;
  readonly reconnects: number;
  readonly logLines: number;
}

export async function benchIdle(): Promise<IdleFigure> {
  await using running = await RunningSystem.start();
  const names = Array.from({ length: machines }, (_, index) => `idle-${index}`);
  for (const name of names) await running.apply(name);
  await running.kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'luvm', '--all']);
  await sleep(10_000);
  const before = await counters(running);
  const [node] = running.system.nodes;
  const agent = node?.agent.pid;
  if (agent === undefined) throw new Error('there is no agent to freeze');
  process.kill(agent, 'SIGSTOP');
  await sleep(frozenSeconds * 1000);
  process.kill(agent, 'SIGCONT');
  await sleep((quietSeconds - frozenSeconds) * 1000);
  const after = await counters(running);
  return {
    writes: after.writes - before.writes,
    events: after.events - before.events,
    reconnects: after.sessions - before.sessions,
    logLines: after.logLines - before.logLines,
  };
}

async function counters(running: RunningSystem) {
  const apiServer = await running.kubectl(['get', '--raw', '/metrics']);
  const operator = await (await fetch(`http://127.0.0.1:${running.system.healthPort}/metrics`)).text();
  const isWrite = /verb="(?:POST|PUT|PATCH|APPLY|DELETE)"/;
  return {
    writes: sum(
      apiServer,
      'apiserver_request_total',
      (labels) => labels.includes('group="lcow.dev"') && isWrite.test(labels),
    ),
    events: sum(
      apiServer,
      'apiserver_request_total',
      (labels) => labels.includes('resource="events"') && isWrite.test(labels),
    ),
    sessions: sum(operator, 'lcow_agent_messages_total', (labels) => labels.includes('type="hello"')),
    logLines: (await Promise.all(running.system.nodes.map(({ agent }) => guestLines(agent.program.logFile)))).reduce(
      (total, lines) => total + lines,
      0,
    ),
  };
}

/** Counts guest log lines on an agent's standard output. */
async function guestLines(file: string): Promise<number> {
  return (await readFile(file, 'utf8')).split('\n').filter((line) => line.startsWith('{"source":"guest"')).length;
}

function sum(text: string, metric: string, holds: (labels: string) => boolean): number {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => holds(line.slice(0, line.lastIndexOf(' '))))
    .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
