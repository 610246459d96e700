// The probes of a container, as a kubelet runs them: the result changes after a number of consecutive successes or
// failures.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Network } from './network.ts';
import type { ContainerSpec, Probe } from './objects.ts';

export interface ProbeTarget {
  readonly network: Network;
  readonly ports: ContainerSpec['ports'];
  readonly execute: (command: readonly string[]) => Promise<ChildProcess>;
}

/**
 * Runs until `signal` aborts. `tell` receives each result that counts. Probes run `haste` times as often, and may fail
 * proportionally more often.
 */
export async function followProbe(
  probe: Probe,
  target: ProbeTarget,
  { signal, haste, tell }: { signal: AbortSignal; haste: number; tell: (succeeded: boolean) => void },
): Promise<void> {
  const inARow = { successes: 0, failures: 0 };
  await pause((probe.initialDelaySeconds * 1000) / haste, signal);
  while (!signal.aborted) {
    const succeeded = await attempt(probe, target).catch(() => false);
    if (signal.aborted) return;
    inARow.successes = succeeded ? inARow.successes + 1 : 0;
    inARow.failures = succeeded ? 0 : inARow.failures + 1;
    if (inARow.successes >= probe.successThreshold) tell(true);
    if (inARow.failures >= probe.failureThreshold * haste) tell(false);
    await pause((probe.periodSeconds * 1000) / haste, signal);
  }
}

const pause = (milliseconds: number, signal: AbortSignal) =>
  delay(milliseconds, undefined, { signal, ref: false }).catch(() => {});

async function attempt(probe: Probe, target: ProbeTarget): Promise<boolean> {
  const signal = AbortSignal.timeout(probe.timeoutSeconds * 1000);
  if (probe.httpGet !== undefined) return await askByHttp(probe.httpGet, target, signal);
  if (probe.tcpSocket !== undefined) return await connects(probe.tcpSocket.port, target, signal);
  const child = await target.execute(probe.exec?.command ?? []);
  signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
  const [code] = await once(child, 'exit');
  return code === 0;
}

async function askByHttp(
  { path, port, scheme }: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<boolean> {
  if (scheme !== 'HTTP') throw new Error(`scheme ${scheme} is not known here`);
  const socket = await target.network.dial(portOf(port, target));
  const request = http.get({ path, signal, createConnection: () => socket, headers: { connection: 'close' } });
  const [response]: http.IncomingMessage[] = await once(request, 'response', { signal });
  response?.resume();
  const code = response?.statusCode ?? 0;
  return code >= 200 && code < 400;
}

/** The pause process closes a connection at once if nobody listens on its port. */
async function connects(port: number | string, target: ProbeTarget, signal: AbortSignal): Promise<boolean> {
  const socket = await target.network.dial(portOf(port, target));
  const closed = once(socket.resume(), 'close', { signal }).then(() => false);
  const open = await Promise.race([closed, delay(100, true, { ref: false })]);
  socket.destroy();
  closed.catch(() => {});
  return open;
}

function portOf(port: number | string, { ports }: ProbeTarget): number {
  const found = typeof port === 'number' ? port : ports.find(({ name }) => name === port)?.containerPort;
  if (found === undefined) throw new Error(`there is no port ${port}`);
  return found;
}
