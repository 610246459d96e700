// An agent that is linked to a scripted operator by a real WebSocket, with real VMs on a simulated node.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { LinkTimes } from '../../../agent/bounds/timeouts.ts';
import { dial, openWebSocket } from '../../../agent/link/dial.ts';
import { OperatorLink } from '../../../agent/link/link.ts';
import type { SessionStreams } from '../../../agent/link/session.ts';
import { agentsPath, type Element, type OperatorMessage } from '../../../protocol/messages.ts';
import type { NetworkFacts } from '../../../protocol/network-facts.ts';
import { type Clock, type Random, systemClock } from '../../../runtime/clock.ts';
import { Relay } from '../operator/relay.ts';
import { type AgentCore, startCore } from './agent-core.ts';
import { ScriptedOperator, type Session } from './scripted-operator.ts';
import { startNode, type TestNode } from './simulated-node.ts';

const fast: LinkTimes = {
  firstRetry: 5,
  lastRetry: 20,
  healthy: 60_000,
  renewal: 3_600_000,
  streams: 3_600_000,
  welcome: 2_000,
};
export const welcome = (epoch: number, heartbeatSeconds = 10): OperatorMessage => ({
  type: 'welcome',
  replica: 'operator-0',
  epoch,
  heartbeatSeconds,
});

interface LinkChanges extends Partial<LinkTimes> {
  readonly clock?: Clock;
  readonly random?: Random;
  /** The streams that the operator has opened, by number. */
  readonly openings?: Set<number>;
  /** The networks of the host, at first. */
  readonly networks?: NetworkFacts;
  /** How many attempts to connect fail at first. */
  readonly failures?: number;
}

interface Linked extends AsyncDisposable {
  readonly node: TestNode;
  readonly core: AgentCore;
  readonly operator: ScriptedOperator;
  /** The connection between operator and agent passes through it. */
  readonly relay: Relay;
  readonly tokenFile: string;
  /** The networks of the host change. */
  tellNetworks(now: NetworkFacts): void;
}

export async function startLinked(changes: LinkChanges = {}): Promise<Linked> {
  const { clock = systemClock, random = Math.random, openings, failures = 0, networks: first, ...times } = changes;
  let networks = first;
  const stack = new AsyncDisposableStack();
  const node = stack.use(await startNode());
  const operator = stack.use(await ScriptedOperator.start());
  const relay = stack.use(await Relay.open(operator.port));
  const folder = await mkdtemp(join(tmpdir(), 'link-'));
  stack.defer(() => rm(folder, { recursive: true, maxRetries: 10 }));
  const tokenFile = join(folder, 'token');
  await writeFile(tokenFile, 'first token\n');
  const stop = new AbortController();
  const core = stack.use(
    await startCore(node, {
      listener: {
        changed: (changed) => link.changed(changed),
        removed: (removed) => link.removed(removed),
      },
    }),
  );
  const { host } = await node.connect();
  let attempts = 0;
  const link: OperatorLink = new OperatorLink({
    clock,
    random,
    logger: pino({ level: 'silent' }),
    supervisor: core.supervisor,
    agentVersion: '1.2.3',
    agentBootID: randomUUID(),
    times: { ...fast, ...times },
    dial: (signal) => {
      attempts += 1;
      if (attempts <= failures) return Promise.reject(new Error('no operator yet'));
      const url = `ws://127.0.0.1:${relay.port}${agentsPath}`;
      return dial(
        { url, tokenFile, caFile: undefined },
        { clock: systemClock, random: Math.random, openSocket: openWebSocket },
        signal,
      );
    },
    networks: () => networks,
    hostFacts: () => host.facts(),
    openStreams: () => streamsOf(openings ?? new Set()),
  });
  const running = link.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  const tellNetworks = (now: NetworkFacts) => {
    networks = now;
    link.networksChanged();
  };
  return { node, core, operator, relay, tokenFile, tellNetworks, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Streams that are open until the operator closes them. */
const streamsOf = (openings: Set<number>): SessionStreams => ({
  get size() {
    return openings.size;
  },
  open: ({ stream }) => openings.add(stream),
  receive: (message) => 'stream' in message && openings.delete(message.stream),
  receiveBinary: () => true,
  forget: () => {},
  end: () => openings.clear(),
});

/** The session with this epoch, after its welcome. */
export async function welcomed(linked: Linked, epoch = 1): Promise<Session> {
  const session = await linked.operator.session(epoch - 1);
  await session.hello();
  session.send(welcome(epoch));
  return session;
}

export const isRunning = ({ virtualMachine }: { virtualMachine: Element }) =>
  virtualMachine['phase'] === 'Running' && JSON.stringify(virtualMachine['conditions']).includes('"Running"');
