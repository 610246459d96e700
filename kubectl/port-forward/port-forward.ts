// `kubectl luvm port-forward`: listens on this computer, and connects each local program to a vsock port of the guest. A
// connection that fails ends alone. The command goes on while the VM or the operator restarts, and ends with Ctrl-C or
// when the VM is gone.
import type { WebSocket } from 'ws';
import { type Clock, delay } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { ApiFailure } from '../api.ts';
import { type CommandPorts, exitCodes, firstPatience } from '../commands.ts';
import { machinePath } from '../machines.ts';
import { Patience } from '../patience.ts';
import { start } from '../start.ts';
import { tell } from '../terminal.ts';
import { type Forward, parseAddresses, parseForward } from './forwards.ts';
import { Listeners, type LocalConnection } from './listeners.ts';
import { type TunnelEnd, tunnel } from './tunnel.ts';

const lookMilliseconds = 15_000;

export interface PortForwardOptions {
  /** Each is `[LOCAL:]vsock:PORT`. */
  readonly forwards: readonly string[];
  /** IP addresses or `localhost`, separated by commas. */
  readonly address: string;
}

export async function portForward(
  name: string,
  { address, forwards }: PortForwardOptions,
  ports: CommandPorts,
): Promise<number> {
  const { terminal } = ports;
  const wanted = forwards.map(parseForward);
  const addresses = parseAddresses(address);
  await lookFor(name, ports);
  const stop = new AbortController();
  const gone = untilGone(name, ports, stop.signal);
  const over = new Promise<number>((resolve, reject) => {
    const stopListening = terminal.onInterrupt(() => resolve(exitCodes.ok));
    stop.signal.addEventListener('abort', stopListening);
    gone.catch(reject);
    const listeners = new Listeners({
      connected: (connection) => {
        terminal.output.write(`Handling connection for ${connection.localPort}\n`);
        serve(name, connection, ports).catch((error: unknown) => (isFinal(error) ? reject(error) : undefined));
      },
      dropped: (localPort) => tell(terminal, `[too many connections to local port ${localPort}: one was closed]`),
    });
    stop.signal.addEventListener('abort', () => listeners.close());
    listenAll(listeners, wanted, addresses, ports).catch(reject);
  });
  try {
    return await over;
  } finally {
    stop.abort(new Error('the command has ended'));
  }
}

async function listenAll(
  listeners: Listeners,
  wanted: readonly Forward[],
  addresses: ReturnType<typeof parseAddresses>,
  { terminal }: CommandPorts,
): Promise<void> {
  for (const forward of wanted) {
    for (const address of addresses) {
      const where = await listeners.listen(forward, address);
      if (where !== undefined) terminal.output.write(`Forwarding from ${where} -> vsock:${forward.port}\n`);
    }
  }
}

/** Rejects with what ends the command, after it has told what ended the connection. */
async function serve(name: string, { port, socket }: LocalConnection, ports: CommandPorts): Promise<void> {
  const { clock, terminal } = ports;
  try {
    const end = await tunnel(await open(name, port, ports), socket, clock);
    const text = textOf(end);
    if (text !== undefined) tell(terminal, `[vsock:${port}: ${text}]`);
  } catch (error) {
    socket.resetAndDestroy();
    if (!isFinal(error)) tell(terminal, `[vsock:${port}: ${messageOf(error)}]`);
    throw error;
  }
}

/** Waits for an operator that is not available yet, and for a free place among the connections of the user. */
async function open(name: string, port: number, ports: CommandPorts): Promise<WebSocket> {
  const { api, clock, random, terminal } = ports;
  const onTrouble = (message: string) => tell(terminal, `[${message}; trying again]`);
  const patience = new Patience({ clock, random, limitMilliseconds: firstPatience, onTrouble });
  const query = new URLSearchParams({ port: String(port) });
  for (;;) {
    try {
      return await start(api, name, 'portforward', query);
    } catch (error) {
      // The agent has waited for the guest already.
      if (error instanceof ApiFailure && error.reason === 'ConnectionTimedOut') throw error;
      await patience.wait(error);
    }
  }
}

function textOf(end: TunnelEnd): string | undefined {
  switch (end.kind) {
    case 'ended':
    case 'left':
      return undefined;
    case 'lost':
      return 'the connection was lost, as when the operator restarts';
    case 'failed':
      return end.problem === 'NotRunning'
        ? `${end.message}: new connections are possible when it runs again`
        : `${end.message} (${end.problem})`;
  }
}

/** The VM is gone, or the cluster does not serve the API. */
function isFinal(error: unknown): boolean {
  return error instanceof ApiFailure && error.code === 404;
}

/** Rejects if the VM does not exist. A user may lack the right to know. */
async function lookFor(name: string, { api }: Pick<CommandPorts, 'api'>): Promise<void> {
  try {
    await api.json({ path: machinePath(api.namespace, name) });
  } catch (error) {
    if (isFinal(error)) throw error;
  }
}

/** Rejects when the VM does not exist any more, or with the signal's reason. */
async function untilGone(
  name: string,
  ports: Pick<CommandPorts, 'api'> & { readonly clock: Clock },
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    await delay(ports.clock, lookMilliseconds, signal);
    await lookFor(name, ports).catch(() => {
      throw new Error(`the VM "${name}" does not exist any more: nothing is forwarded`);
    });
  }
}
