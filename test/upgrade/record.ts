// `node test/upgrade/record.ts VERSION` records the data for upgrade tests: the kinds, valid specs, and a conversation
// of an agent and an operator of this work tree. Never record the folder of a released version again.
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { agentsPath, subprotocol } from '../../protocol/messages.ts';
import { LocalSystem, threeHosts } from '../../simulator/playground/system.ts';
import { startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { recordedVM } from './recorded-vm.ts';

const node = 'win-2025-a';
const project = fileURLToPath(new URL('../../', import.meta.url));

/** A proxy between agent and operator, with the operator's certificate. */
class Recorder {
  readonly lines: string[] = [];
  readonly #https = https.createServer().listen(0, '127.0.0.1');
  readonly listening = once(this.#https, 'listening');
  readonly #server = new WebSocketServer({ server: this.#https, handleProtocols: () => subprotocol });
  /** The port of the operator. */
  target = 0;

  get port(): number {
    return (this.#https.address() as AddressInfo).port;
  }

  async use(folder: string): Promise<void> {
    const [ca, cert, key] = await Promise.all(
      ['ca.crt', 'tls.crt', 'tls.key'].map((name) => readFile(join(folder, name))),
    );
    if (ca === undefined || cert === undefined || key === undefined) throw new Error('no certificates');
    this.#authority = ca;
    this.#https.setSecureContext({ cert, key });
  }

  #authority = Buffer.alloc(0);

  constructor() {
    this.#server.on('connection', (agent, request) => {
      const headers = { authorization: request.headers.authorization ?? '' };
      const url = `wss://127.0.0.1:${this.target}${agentsPath}`;
      const operator = new WebSocket(url, [subprotocol], { headers, ca: this.#authority });
      const open = once(operator, 'open');
      open.catch(() => agent.close(1013));
      agent.on(
        'message',
        (data) =>
          void open.then(
            () => operator.send(this.#record('agent', data)),
            () => {},
          ),
      );
      operator.on('message', (data) => agent.send(this.#record('operator', data)));
      operator.on('close', () => agent.close());
      agent.on('close', () => operator.close());
    });
  }

  close(): void {
    this.#https.close();
    for (const client of this.#server.clients) client.terminate();
  }

  #record(from: string, data: RawData): string {
    const text = String(data);
    this.lines.push(JSON.stringify({ from, message: JSON.parse(text.replaceAll(hostname(), 'operator')) }));
    return text;
  }
}

const [version = ''] = process.argv.slice(2);
if (!/^v\d+\.\d+\.\d+$/.test(version)) throw new Error('name a version, such as v0.1.0');
const folder = join(project, 'test/upgrade/fixtures', version);
await mkdir(folder, { recursive: true });
for (const file of ['lcow.dev_linuxutilityvms.yaml', 'lcow.dev_linuxutilityvmhosts.yaml']) {
  await copyFile(join(project, 'crds', file), join(folder, file));
}
await copyFile(join(project, 'test/crds/manifests/good.yaml'), join(folder, 'specs.yaml'));
await writeFile(join(folder, 'conversation.jsonl'), `${(await converse()).join('\n')}\n`);

async function converse(): Promise<readonly string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'record-'));
  const cluster = await startControlPlane();
  const recorder = new Recorder();
  await recorder.listening;
  const hosts = new Map([...threeHosts].filter(([name]) => name === node));
  const system = await LocalSystem.prepare({ cluster, directory, hosts, agentsService: recorder.port });
  await recorder.use(join(directory, 'pki'));
  recorder.target = system.replicas[0].agentsPort;
  const $ = (line: string, input?: string) => kubectl(cluster, line.split(' '), input);
  try {
    await Promise.all([system.startHosts(), installCustomResources(cluster), system.createNodes()]);
    await system.startPrograms();
    for (const object of recordedVM) await $('create -f -', JSON.stringify(object));
    await $('wait --for=condition=Ready --timeout=60s luvm/recorded');
    await $('patch luvm recorded --type=merge -p {"spec":{"runStrategy":"Halted"}}');
    await $('wait --for=jsonpath={.status.phase}=Stopped --timeout=60s luvm/recorded');
    await $('delete luvm recorded --timeout=60s');
    return recorder.lines;
  } finally {
    await system.stop();
    recorder.close();
    await cluster.stop();
    await rm(directory, { recursive: true, force: true });
  }
}
