// Measures a whole fleet from creation to Ready: writes to the API server, processor time of the operator, and elapsed
// time, compared with a minimal controller-runtime operator and with raw writes on the same control plane.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { loadClusterAccess } from '../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../operator/kubernetes/http.ts';
import { systemClock } from '../../runtime/clock.ts';
import { ManagedProcess } from '../../simulator/playground/managed-process.ts';
import { makeCertificates } from '../support/certificates.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { SimulatedAgents } from './converge-agents.ts';
import { buildPeers, type LimitFigure, measureLimit, startControllerRuntime } from './converge-peers.ts';

const agentCount = 20;
const writers = 16;
const patienceMilliseconds = 300_000;
const pollMilliseconds = 100;
export const promised = { writesPerMachine: 4, processorRatio: 2.5, shareOfLimit: 0.6 } as const;

export interface ConvergeRow {
  readonly name: string;
  /** From the first creation until every VM is Ready. */
  readonly seconds: number;
  readonly writesPerMachine: number;
  /** Writes of hosts, per VM. They depend on the elapsed time. */
  readonly hostWritesPerMachine: number;
  readonly processorMilliseconds: number;
  /** The part of `seconds` that the same number of raw writes takes. */
  readonly shareOfLimit: number | undefined;
}

export interface ConvergeFigures {
  readonly limit: LimitFigure | undefined;
  readonly rows: readonly ConvergeRow[];
}

/** With `alone`, the baseline and the limit are not measured, even where their sources are available. */
export async function benchConverge(machines: number, alone: boolean): Promise<ConvergeFigures> {
  const peers = alone ? undefined : await buildPeers();
  const directory = await mkdtemp(join(tmpdir(), 'converge-'));
  const controlPlane = await startControlPlane();
  try {
    await installCustomResources(controlPlane);
    const bench = new Bench(controlPlane, directory, machines);
    const limit = peers && (await measureLimit(peers.load, controlPlane.kubeconfigPath, machines));
    await bench.clear();
    const rows: ConvergeRow[] = [];
    if (peers !== undefined) rows.push(await bench.controllerRuntime(peers.controllerRuntime, limit));
    rows.push(await bench.operator(limit));
    return { limit, rows };
  } finally {
    await controlPlane.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

const collection = '/apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms';
const list = z.object({
  items: z.array(
    z.object({
      status: z
        .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]) })
        .default({ conditions: [] }),
    }),
  ),
});

interface Writes {
  readonly machines: number;
  readonly hosts: number;
}

class Bench {
  readonly #controlPlane: ControlPlane;
  readonly #directory: string;
  readonly #machines: number;
  readonly #http: KubeHttp;

  constructor(controlPlane: ControlPlane, directory: string, machines: number) {
    this.#controlPlane = controlPlane;
    this.#directory = directory;
    this.#machines = machines;
    const access = loadClusterAccess(controlPlane.kubeconfigPath, systemClock);
    this.#http = new KubeHttp({ access, clock: systemClock, random: Math.random, version: 'bench' });
  }

  async controllerRuntime(binary: string, limit: LimitFigure | undefined): Promise<ConvergeRow> {
    const log = join(this.#directory, 'peer.log');
    const program = await startControllerRuntime(binary, this.#controlPlane.kubeconfigPath, log);
    try {
      return await this.#measure('controller-runtime, one write', program.pid, limit);
    } finally {
      await program.stop();
      await this.clear();
    }
  }

  async operator(limit: LimitFigure | undefined): Promise<ConvergeRow> {
    const certificates = await makeCertificates();
    const tokens = new Map(
      Array.from({ length: agentCount }, (_, index) => [`win-${index}`, `token-of-node-win-${index}`]),
    );
    const files = {
      'tls.crt': certificates.serving.certificate,
      'tls.key': certificates.serving.key,
      'tokens.json': JSON.stringify(Object.fromEntries([...tokens].map(([node, token]) => [token, node]))),
    };
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.#directory, name), text);
    for (const name of tokens.keys()) {
      await this.#request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    }
    const program = this.#operatorProgram();
    const agents = new SimulatedAgents();
    await program.start();
    try {
      await agents.connect({ port: await this.#agentsPort(), authority: certificates.authority, tokens });
      return await this.#measure('lcow-operator', program.pid, limit);
    } finally {
      await agents.close();
      await program.stop();
    }
  }

  /** Deletes every VM. No finalizer blocks this. */
  async clear(): Promise<void> {
    await this.#request('DELETE', collection);
  }

  async #measure(name: string, pid: number | undefined, limit: LimitFigure | undefined): Promise<ConvergeRow> {
    if (pid === undefined) throw new Error(`${name} does not run`);
    await this.#create('warm-up');
    await this.#untilRunning(1);
    // Events of the hosts, whose agents have just connected, do not belong to a VM.
    const before = { writes: await this.#untilWritten(), processor: await processorMilliseconds(pid) };
    const begun = performance.now();
    let next = 0;
    const writer = async () => {
      while (next < this.#machines) {
        next += 1;
        await this.#create(`load-${next}`);
      }
    };
    await Promise.all(Array.from({ length: writers }, writer));
    await this.#untilRunning(this.#machines + 1);
    const seconds = (performance.now() - begun) / 1000;
    const after = await this.#untilWritten();
    const processor = (await processorMilliseconds(pid)) - before.processor;
    await this.#requireReady();
    const writes = (after.machines - before.writes.machines) / this.#machines - 1;
    return {
      name,
      seconds,
      writesPerMachine: writes,
      hostWritesPerMachine: (after.hosts - before.writes.hosts) / this.#machines,
      processorMilliseconds: processor / this.#machines,
      shareOfLimit: limit && rawSeconds(limit, writes) / seconds,
    };
  }

  async #create(name: string): Promise<void> {
    const spec = { memory: { sizeInMB: 512 }, processor: { count: 1 } };
    const body = { apiVersion: 'lcow.dev/v1alpha1', kind: 'LinuxUtilityVM', metadata: { name }, spec };
    await this.#request('POST', collection, body);
  }

  /** The query asks for one VM that does not run, which costs the API server little. */
  async #untilRunning(count: number): Promise<void> {
    const deadline = Date.now() + patienceMilliseconds;
    const query = { fieldSelector: 'status.phase!=Running', limit: 1 };
    while (Date.now() < deadline) {
      const { items } = list.parse(await this.#request('GET', collection, undefined, query));
      if (items.length === 0) return;
      await sleep(pollMilliseconds);
    }
    throw new Error(`not all of ${count} VMs ran within ${patienceMilliseconds / 1000} s`);
  }

  async #requireReady(): Promise<void> {
    const { items } = list.parse(await this.#request('GET', collection));
    const ready = items.filter(({ status }) =>
      status.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True'),
    );
    if (ready.length !== this.#machines + 1) throw new Error(`${ready.length} of ${this.#machines + 1} VMs are ready`);
  }

  /** Waits for the Events, which follow the status writes. */
  async #untilWritten(): Promise<Writes> {
    let last = await this.#writes();
    for (;;) {
      await sleep(1_000);
      const now = await this.#writes();
      if (now.machines === last.machines) return now;
      last = now;
    }
  }

  /** Successful writes of VMs and their Events, and of hosts, as the API server counts them. */
  async #writes(): Promise<Writes> {
    const opened = await this.#http.lines({ method: 'GET', path: '/metrics' });
    if (!opened.ok) throw new Error(opened.error.message);
    const counts = { machines: 0, hosts: 0 };
    for await (const line of opened.value) {
      const [, labels = '', value] = /^apiserver_request_total\{(.*)\} (\S+)$/.exec(line) ?? [];
      if (!/verb="(POST|PUT|PATCH|APPLY)"/.test(labels) || !/code="2\d\d"/.test(labels)) continue;
      if (/resource="(linuxutilityvms|events)"/.test(labels)) counts.machines += Number(value);
      if (labels.includes('resource="linuxutilityvmhosts"')) counts.hosts += Number(value);
    }
    return counts;
  }

  #operatorProgram(): ManagedProcess {
    const flags = [
      ['--kubeconfig', this.#controlPlane.kubeconfigPath],
      ['--bind-address', '127.0.0.1', '--agents-port', '0', '--health-port', '0', '--api-port', '0'],
      ['--agent-tokens', join(this.#directory, 'tokens.json')],
      ['--tls-certificate', join(this.#directory, 'tls.crt'), '--tls-key', join(this.#directory, 'tls.key')],
    ];
    return new ManagedProcess({
      name: 'operator',
      script: fileURLToPath(new URL('../../operator/main.ts', import.meta.url)),
      arguments: flags.flat(),
      logFile: join(this.#directory, 'operator.log'),
    });
  }

  /** Resolves once the operator leads, according to its log. */
  async #agentsPort(): Promise<number> {
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline) {
      const log = await readFile(join(this.#directory, 'operator.log'), 'utf8').catch(() => '');
      const port = /"agents":(\d+)/.exec(log)?.[1];
      if (port !== undefined && log.includes('"msg":"leads"')) return Number(port);
      await sleep(pollMilliseconds);
    }
    throw new Error('the operator did not come to lead');
  }

  async #request(method: KubeRequest['method'], path: string, body?: object, query?: KubeRequest['query']) {
    const outcome = await this.#http.request({
      method,
      path,
      ...(body === undefined ? {} : { body }),
      ...(query === undefined ? {} : { query }),
    });
    if (!outcome.ok) throw new Error(`${method} ${path}: ${outcome.error.message}`);
    return outcome.value;
  }
}

/** The time of one creation and of this many other writes per VM without other load. */
function rawSeconds({ createSeconds, writeSeconds }: LimitFigure, writes: number): number {
  return createSeconds + writes * writeSeconds;
}

const ticksPerSecond = 100;

async function processorMilliseconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return (((user ?? 0) + (system ?? 0)) * 1000) / ticksPerSecond;
}
