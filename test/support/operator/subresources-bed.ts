// A user's connection to a simulated guest, in one process: both servers of the operator over TLS, an agent and its
// node. The test acts as the API server: it presents the front proxy's certificate and sets the ConfigMap with the
// trusted authority.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect as connectPlainly, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { connect, type TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { WebSocket } from 'ws';
import { defaultLinkTimes, type LinkTimes } from '../../../agent/bounds/timeouts.ts';
import { dial, openWebSocket } from '../../../agent/link/dial.ts';
import { OperatorLink } from '../../../agent/link/link.ts';
import { UsageReader } from '../../../agent/metrics/usage.ts';
import { ExclusiveConsoles } from '../../../agent/streams/console-readers.ts';
import { StreamServer } from '../../../agent/streams/stream-server.ts';
import { AgentDoor } from '../../../operator/agents/door.ts';
import { AgentServer } from '../../../operator/agents/server.ts';
import { Sessions } from '../../../operator/agents/sessions.ts';
import { desiredMachine } from '../../../operator/controller/instructions/assignment.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { connectionError, failed, type Outcome } from '../../../operator/kubernetes/api-error.ts';
import { plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp } from '../../../operator/kubernetes/http.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import { AccessReviews } from '../../../operator/subresources/access-reviews.ts';
import { FrontProxy } from '../../../operator/subresources/front-proxy.ts';
import { LeaderAddress } from '../../../operator/subresources/leader-address.ts';
import { MachineRequests } from '../../../operator/subresources/machine-requests.ts';
import { MachineStreams } from '../../../operator/subresources/machine-streams.ts';
import { ApiServer } from '../../../operator/subresources/server.ts';
import { StreamCounts } from '../../../operator/subresources/stream-counts.ts';
import { agentsPath, subprotocol } from '../../../protocol/messages.ts';
import {
  channelSubprotocol,
  channels,
  type StatusMessage,
  type Subresource,
  statusMessage,
  subresourcePath,
} from '../../../protocol/subresources.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { type AgentCore, isRunning, startCore } from '../agent/agent-core.ts';
import { startNode } from '../agent/simulated-node.ts';
import { type Certificates, frontProxyName, type Identity, makeCertificates } from '../certificates.ts';
import { ManualClock } from '../clocks/manual-clock.ts';
import { until } from '../until.ts';
import { makeMachine, someUid } from './objects.ts';
import { ScriptedAgent } from './scripted-agent.ts';
import { StandInReviewer } from './stand-in-reviewer.ts';

const nodeName = 'node-a';
const noLease = (): Promise<Outcome<never>> =>
  Promise.resolve(failed(connectionError('ConnectionFailed', 'there is no Lease here')));

/** A request of `kubectl luvm`. */
export interface Wanted {
  readonly subresource: Subresource;
  readonly name?: string;
  readonly query?: string;
}

export class SubresourcesBed implements AsyncDisposable {
  /** The operator's log. */
  readonly logged: string[] = [];
  readonly counts = new StreamCounts();
  readonly machines = new Map<string, VirtualMachine>();
  readonly sessions = new Sessions({ live: () => {}, ended: () => {} }, () => true);
  /** Reviews rights like the API server. */
  readonly reviewer = new StandInReviewer();
  /** Clock of the aggregated API. */
  readonly clock = new ManualClock();
  readonly #stack = new AsyncDisposableStack();
  readonly #times: Partial<LinkTimes>;
  readonly #folder: string;
  readonly #agentServer: AgentServer;
  readonly #api: ApiServer;
  readonly #kube: http.Server;
  readonly #frontProxy: FrontProxy;
  #serving: Certificates;
  /** The authority in the ConfigMap. */
  believed: Certificates;
  /** Additional headers in the ConfigMap. */
  readonly believedHeaders: Record<string, string> = {};
  #agentsPort = 0;
  #apiPort = 0;
  #agent: { readonly core: AgentCore; readonly link: OperatorLink } | undefined;

  private constructor(kube: http.Server, folder: string, certificates: Certificates, times: Partial<LinkTimes>) {
    this.#folder = folder;
    this.#times = times;
    this.#serving = certificates;
    this.believed = certificates;
    this.#kube = kube;
    kube.on('request', (request, response) => {
      void text(request).then((body) => {
        if (request.method === 'POST') this.reviewer.answer(JSON.parse(body), response);
        else response.end(JSON.stringify({ data: this.#trusted() }));
      });
    });
    const access = plainAccess(new URL(`http://127.0.0.1:${(kube.address() as AddressInfo).port}`));
    const random = () => 0.5;
    const logger = pino({ level: 'info' }, { write: (line) => void this.logged.push(line) });
    const kubeHttp = new KubeHttp({ access, clock: systemClock, random, version: 'test' });
    const ports = {
      clock: systemClock,
      logger,
      observer: { received: () => {}, sent: () => {}, misbehaved: () => {} },
      inventory: new Inventory(systemClock),
      replica: 'replica-1',
      heartbeatSeconds: 10,
      accept: () => Promise.resolve({ ok: true as const, epoch: 7 }),
      networks: () => {},
      desired: () => Readable.from([]),
    };
    const shared = { clock: systemClock, logger, bindAddress: '127.0.0.1', port: 0 };
    this.#agentServer = new AgentServer({
      ...shared,
      door: new AgentDoor({
        clock: systemClock,
        logger,
        service: () => ({ ports, sessions: this.sessions }),
        authenticator: { authenticate: (bearer) => Promise.resolve({ ok: true, nodeName: bearer }) },
      }),
      tls: true,
    });
    this.#frontProxy = new FrontProxy({ http: kubeHttp, clock: this.clock, random });
    this.#api = new ApiServer({
      ...shared,
      clock: this.clock,
      frontProxy: this.#frontProxy,
      requests: new MachineRequests({
        clock: this.clock,
        logger,
        streams: new MachineStreams({
          clock: systemClock,
          counts: this.counts,
          machine: (key) => this.machines.get(key),
          session: (name) => this.sessions.of(name),
        }),
        reviews: new AccessReviews({
          http: kubeHttp,
          clock: this.clock,
          failed: (error) => logger.warn({ error }, 'reviewed nothing'),
        }),
      }),
      leads: () => true,
      leader: new LeaderAddress({ get: noLease }, 'replica-1'),
    });
  }

  /** Starts with the running VM `default/vm`. */
  static async start(times: Partial<LinkTimes> = {}): Promise<SubresourcesBed> {
    const folder = await mkdtemp(join(tmpdir(), 'subresources-'));
    const kube = http.createServer();
    kube.listen(0, '127.0.0.1');
    await once(kube, 'listening');
    const bed = new SubresourcesBed(kube, folder, await makeCertificates(), times);
    bed.#stack.defer(() => rm(folder, { recursive: true }));
    await bed.#serve();
    await bed.#startAgent();
    await bed.#assign();
    return bed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }

  /** Number of streams that the agent serves. */
  get held(): number {
    return this.#agent?.link.streams ?? 0;
  }

  /** The current identity of the API server. */
  get frontProxy(): Identity {
    return this.believed.frontProxy;
  }

  remove(): void {
    this.sessions.release(nodeName, someUid);
  }

  /**
   * Replaces the serving certificates with those of another authority, which the agent trusts from its next connection
   * on.
   */
  async renewCertificates(): Promise<void> {
    this.#serving = await makeCertificates();
    await this.#useCertificates();
  }

  /**
   * An agent that the test plays, with the VM `default/<name>`. Without capabilities it acts like a version before
   * streams.
   */
  async connectScriptedAgent(name: string, capabilities?: string[]): Promise<ScriptedAgent> {
    const metadata = { uid: randomUUID(), name };
    this.machines.set(`default/${name}`, makeMachine({ metadata, status: { nodeName: 'node-b' } }));
    const socket = new WebSocket(`wss://127.0.0.1:${this.#agentsPort}${agentsPath}`, [subprotocol], {
      headers: { authorization: 'Bearer node-b' },
      ca: this.#serving.authority,
    });
    await once(socket, 'open');
    const agent = new ScriptedAgent();
    agent.attach(socket);
    agent.hello(undefined, capabilities);
    await until('the agent is live', () => agent.receivedOf('desired').length === 1);
    return agent;
  }

  /** Sends a user's request as the API server does. */
  async get(wanted: Wanted, shown = this.frontProxy, agent?: https.Agent): Promise<{ code: number; text: string }> {
    const response = await this.follow(wanted, shown, agent);
    return { code: response.statusCode ?? 0, text: await text(response) };
  }

  async follow(wanted: Wanted, shown = this.frontProxy, agent?: https.Agent): Promise<http.IncomingMessage> {
    const request = https.get(this.#url('https', wanted), { ...this.#shows(shown), agent: agent ?? false });
    const [response] = await once(request, 'response');
    if (!(response instanceof http.IncomingMessage)) throw new Error('no response');
    return response;
  }

  open(wanted: Wanted): UserStream {
    return new UserStream(new WebSocket(this.#url('wss', wanted), [channelSubprotocol], this.#shows(this.frontProxy)));
  }

  /** The answer to a user without the right. */
  async refusalOf(wanted: Wanted): Promise<{ readonly code: number; readonly text: string }> {
    if (wanted.subresource === 'log') return await this.get(wanted);
    const stream = this.open(wanted);
    return await until('the refusal', () => stream.refusal);
  }

  async connectAsFrontProxy(): Promise<TLSSocket> {
    const { ca, cert, key } = this.#shows(this.frontProxy);
    const socket = connect({ port: this.#apiPort, host: '127.0.0.1', ca, cert, key });
    await once(socket, 'secureConnect');
    return socket;
  }

  /** Connects without a certificate. */
  async connectStranger(session?: Buffer): Promise<TLSSocket> {
    const socket = connect({ port: this.#apiPort, host: '127.0.0.1', rejectUnauthorized: false, session });
    await once(socket, 'secureConnect');
    return socket.on('error', () => {});
  }

  /** The answer to these bytes, until the end of the connection, which the request must ask for. */
  async answerTo(bytes: string, from: 'front proxy' | 'stranger' = 'front proxy'): Promise<string> {
    const socket = await (from === 'stranger' ? this.connectStranger() : this.connectAsFrontProxy());
    const answer = text(socket);
    // A connection that is not read to its end may end with an error.
    socket.on('error', () => {});
    socket.write(bytes, 'latin1');
    return await answer;
  }

  /** Connects and sends nothing. */
  async connectSilently(): Promise<Socket> {
    const socket = connectPlainly(this.#apiPort, '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  #url(scheme: string, { name = 'vm', query = '', subresource }: Wanted): string {
    return `${scheme}://127.0.0.1:${this.#apiPort}${subresourcePath('default', name, subresource)}?${query}`;
  }

  #shows({ certificate: cert, key }: Identity) {
    return { ca: this.#serving.authority, cert, key, headers: { 'x-remote-user': 'somebody' } };
  }

  #trusted(): Record<string, string> {
    return {
      'requestheader-client-ca-file': this.believed.authority,
      'requestheader-allowed-names': JSON.stringify([frontProxyName]),
      ...this.believedHeaders,
    };
  }

  async #serve(): Promise<void> {
    this.#agentsPort = (await this.#agentServer.listen()).port;
    this.#apiPort = (await this.#api.listen()).port;
    this.#frontProxy.start({ trusts: () => this.#api.trustFrontProxy(), failed: () => {} });
    await until('the front proxy is known', () => this.#frontProxy.authority !== undefined);
    await this.#useCertificates();
    this.#stack.defer(async () => {
      await Promise.all([this.#api.close(), this.#agentServer.close(), this.#frontProxy.stop()]);
      this.#kube.closeAllConnections();
      this.#kube.close();
    });
  }

  async #useCertificates(): Promise<void> {
    await writeFile(join(this.#folder, 'ca.crt'), this.#serving.authority);
    this.#agentServer.useCertificate(this.#serving.serving);
    this.#api.useCertificate(this.#serving.serving);
  }

  async #startAgent(): Promise<void> {
    const node = this.#stack.use(await startNode());
    const [tokenFile, caFile] = [join(this.#folder, 'token'), join(this.#folder, 'ca.crt')];
    await writeFile(tokenFile, nodeName);
    const core = await startCore(node, {
      listener: {
        changed: (uid) => link.changed(uid),
        removed: (uid) => link.removed(uid),
      },
    });
    this.#stack.use(core);
    const { host } = await node.connect();
    const consoles = new ExclusiveConsoles(async function* (_pipe, signal) {
      yield Buffer.from('login: ');
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    });
    const link: OperatorLink = new OperatorLink({
      clock: systemClock,
      random: () => 0.5,
      logger: pino({ level: 'silent' }),
      supervisor: core.supervisor,
      agentVersion: '1.2.3',
      agentBootID: randomUUID(),
      times: { ...defaultLinkTimes, firstRetry: 5, lastRetry: 20, ...this.#times },
      dial: (signal) => {
        const url = `wss://127.0.0.1:${this.#agentsPort}${agentsPath}`;
        return dial(
          { url, tokenFile, caFile },
          { clock: systemClock, random: () => 0.5, openSocket: openWebSocket },
          signal,
        );
      },
      networks: () => undefined,
      hostFacts: () => host.facts(),
      openStreams: (lane) => {
        const logger = pino({ level: 'silent' });
        const usage = new UsageReader(systemClock);
        return new StreamServer({ ...lane, clock: systemClock, logger, consoles, supervisor: core.supervisor, usage });
      },
    });
    this.#agent = { core, link };
    const stop = new AbortController();
    const running = link.run(stop.signal);
    this.#stack.defer(async () => {
      stop.abort();
      await running;
    });
  }

  async #assign(): Promise<void> {
    const object = makeMachine({ spec: { console: { pipe: '\\\\.\\pipe\\vm' } }, status: { nodeName } });
    this.machines.set('default/vm', object);
    if (!object.spec.ok) throw new Error(object.spec.message);
    await until('the agent is live', () => this.sessions.of(nodeName)?.streams === 'Ready');
    this.sessions.assign(nodeName, desiredMachine(object, object.spec.value, undefined));
    await until('the VM is known', () => this.#agent?.core.supervisor.observe(someUid) !== undefined);
    await this.#agent?.core.until(someUid, 'runs', isRunning);
  }
}

/** The user's end of `exec`, `console` or `portforward`. */
export class UserStream {
  readonly said: StatusMessage[] = [];
  /** The HTTP answer, if there is no stream. */
  refusal: { readonly code: number; readonly text: string } | undefined;
  stdout = '';
  /** The server said that `stdout` carries no more data. */
  outputEnded = false;
  closed = false;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
    socket.on('message', (data: Buffer) => {
      if (data[0] === channels.stdout) this.stdout += data.toString('utf8', 1);
      if (data[0] === channels.close && data[1] === channels.stdout) this.outputEnded = true;
      if (data[0] === channels.status) this.said.push(statusMessage.parse(JSON.parse(data.toString('utf8', 1))));
    });
    socket.on('unexpected-response', (_request, response) => {
      void text(response).then((body) => {
        this.refusal = { code: response.statusCode ?? 0, text: body };
      });
    });
  }

  async started(): Promise<this> {
    await until('the stream starts', () => this.said.length > 0 || this.closed);
    if (this.said[0]?.type !== 'started') throw new Error('the stream did not start');
    return this;
  }

  type(typed: string): void {
    this.#socket.send(Buffer.concat([Buffer.of(channels.stdin), Buffer.from(typed)]));
  }

  endInput(): void {
    this.#socket.send(Buffer.of(channels.close, channels.stdin));
  }

  close(): void {
    this.#socket.close();
  }
}
