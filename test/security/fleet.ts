// Agents without hosts, for attacks. Each speaks the protocol over TLS, dials as the real agent does
// (agent/link/dial.ts), and dials again as agent/link/link.ts does, until it is welcomed.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { WebSocket } from 'ws';
import { defaultLinkTimes } from '../../agent/bounds/timeouts.ts';
import { dial, openWebSocket } from '../../agent/link/dial.ts';
import { agentsPath, subprotocol } from '../../protocol/messages.ts';
import { delay, systemClock } from '../../runtime/clock.ts';
import { ClusterApi } from '../support/control-plane/cluster-api.ts';
import { someHost } from '../support/operator/scripted-agent.ts';
import type { RunningSystem } from '../support/system/running-system.ts';
import { inParallel } from './in-parallel.ts';

const hosts = '/apis/lcow.dev/v1alpha1/linuxutilityvmhosts';
const nodes = '/api/v1/nodes';

export interface Admission {
  /** From the first dial to the welcome. */
  readonly milliseconds: number;
  /** Until the connection is open, which means that the token was accepted. The rest depends on the API server. */
  readonly openMilliseconds: number;
  readonly dials: number;
}

export class Fleet implements AsyncDisposable {
  readonly #names: readonly string[];
  readonly #api: ClusterApi;
  readonly #pki: string;
  readonly #url: string;
  readonly #before: string;
  readonly #sockets: WebSocket[] = [];

  private constructor(target: RunningSystem, names: readonly string[], api: ClusterApi, before: string) {
    this.#names = names;
    this.#api = api;
    this.#pki = pkiFolder(target);
    this.#url = `wss://127.0.0.1:${target.system.replicas[0].agentsPort}${agentsPath}`;
    this.#before = before;
  }

  /** Creates `count` Nodes, and a token for each. */
  static async create(target: RunningSystem, prefix: string, count: number): Promise<Fleet> {
    const names = Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
    const api = new ClusterApi(target.controlPlane.kubeconfigPath, 'attack');
    const before = await readFile(join(pkiFolder(target), 'tokens.json'), 'utf8');
    const fleet = new Fleet(target, names, api, before);
    await inParallel(names, (name) => api.send('POST', nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } }));
    const tokens = Object.fromEntries(names.map((name) => [tokenOf(name), name]));
    await writeFile(fleet.#tokensFile, JSON.stringify({ ...JSON.parse(before), ...tokens }));
    await inParallel(names, (name) => writeFile(fleet.#tokenFile(name), tokenOf(name)));
    return fleet;
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** Dials until the operator has welcomed the agent. */
  async join(name: string, signal: AbortSignal): Promise<Admission> {
    const begun = performance.now();
    for (let dials = 1; ; dials += 1) {
      const openedAt = await this.#tryToJoin(name, signal);
      if (openedAt !== undefined) {
        return { milliseconds: performance.now() - begun, openMilliseconds: openedAt - begun, dials };
      }
      signal.throwIfAborted();
      const ceiling = Math.min(defaultLinkTimes.lastRetry, defaultLinkTimes.firstRetry * 2 ** dials);
      await delay(systemClock, Math.random() * ceiling, signal);
    }
  }

  get connected(): number {
    return this.#sockets.filter(({ readyState }) => readyState === 1).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await writeFile(this.#tokensFile, this.#before);
    await inParallel(this.#names, async (name) => {
      await this.#api.find('DELETE', `${hosts}/${name}`);
      await this.#api.find('DELETE', `${nodes}/${name}`);
    });
  }

  async #tryToJoin(name: string, signal: AbortSignal): Promise<number | undefined> {
    const settings = { url: this.#url, tokenFile: this.#tokenFile(name), caFile: join(this.#pki, 'ca.crt') };
    const socket = await dial(
      settings,
      { clock: systemClock, random: Math.random, openSocket: openWebSocket },
      signal,
    ).catch(() => undefined);
    if (socket === undefined) return undefined;
    const openedAt = performance.now();
    this.#sockets.push(socket);
    const welcomed = new Promise<boolean>((resolve) => {
      socket.on('message', (data) => resolve(data.toString().includes('"welcome"')));
      socket.on('close', () => resolve(false));
      socket.on('error', () => resolve(false));
      systemClock.after(defaultLinkTimes.welcome, () => resolve(false));
    });
    socket.send(hello);
    if (await welcomed) return openedAt;
    socket.terminate();
    return undefined;
  }

  get #tokensFile(): string {
    return join(this.#pki, 'tokens.json');
  }

  #tokenFile(name: string): string {
    return join(this.#pki, `${name}.token`);
  }
}

const tokenOf = (name: string) => `token-of-the-attack-${name}`;

/** The folder with the target's certificates and tokens. */
export function pkiFolder(target: RunningSystem): string {
  return join(target.system.node('win-2022-a').stateDir, '..', '..', 'pki');
}

const hello = JSON.stringify({
  type: 'hello',
  protocolVersions: [subprotocol],
  agentVersion: 'attack',
  bootID: '6a3f2c1e-0b7d-4c55-9a51-2f7f0c1d2e3f',
  host: someHost,
  virtualMachines: [],
  complete: true,
  last: true,
});
