// The programs of this work tree with programs of earlier versions at the other end of the wire, and the kinds with
// objects that earlier versions stored.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { messageOfAgents } from '../../protocol/earlier-agents.ts';
import { operatorMessage, parseAssignment, parseObserved } from '../../protocol/messages.ts';
import { ManagedProcess } from '../../simulator/playground/managed-process.ts';
import { ScriptedOperator } from '../support/agent/scripted-operator.ts';
import { type ControlPlane, startControlPlane } from '../support/control-plane/control-plane.ts';
import { installCustomResources } from '../support/control-plane/custom-resources.ts';
import { kubectl } from '../support/control-plane/kubectl.ts';
import { fixture, readConversation, retold, withUnknownMembers } from './conversation.ts';
import { recordedVM } from './recorded-vm.ts';
import { replayAgent } from './replayed-agent.ts';

const version = 'v0.1.0';
const conversation = await readConversation(version);
const node = 'win-2025-a';
const script = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
/** The token of the node for the operator. */
const token = 'a-token-of-development';
const patience = { timeout: 30_000, interval: 100 };
const manners = [
  ['as it did', (message: unknown) => message],
  ['with members of a version to come', withUnknownMembers],
] as const;

const machines = z.object({
  items: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }), spec: z.unknown() })),
});

let directory: string;
let cluster: ControlPlane;
const $ = (line: string, input?: string) => kubectl(cluster, line.split(' '), input);
const started: ManagedProcess[] = [];

async function start(name: string, path: string, arguments_: readonly string[]): Promise<ManagedProcess> {
  const logFile = join(directory, `${name}.log`);
  const process = new ManagedProcess({ name, script: script(path), arguments: arguments_, logFile });
  await process.start();
  started.push(process);
  return process;
}

/** The members of a JSON line that a program logs. */
async function logged<T>(name: string, line: z.ZodType<T>): Promise<T> {
  return await vi.waitFor(async () => {
    const lines = (await readFile(join(directory, `${name}.log`), 'utf8')).split('\n');
    const found = lines.map((each) => line.safeParse(attempt(each)).data).find((each) => each !== undefined);
    if (found === undefined) throw new Error(`${name} has not said it`);
    return found;
  }, patience);
}

function attempt(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'upgrade-'));
  cluster = await startControlPlane();
}, 900_000);

afterAll(async () => {
  for (const process of started.reverse()) await process.stop();
  await cluster?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe(`objects that were stored under the kinds of ${version}`, () => {
  it('stay unchanged, and can be read and written under the current kinds', async () => {
    for (const name of ['linuxutilityvms', 'linuxutilityvmhosts']) {
      await $('apply --server-side -f -', await readFile(fixture(version, `lcow.dev_${name}.yaml`), 'utf8'));
    }
    await $('wait --for=condition=Established --timeout=30s crd --all');
    const specs = z
      .array(z.object({ name: z.string(), spec: z.record(z.string(), z.unknown()) }))
      .parse(parse(await readFile(fixture(version, 'specs.yaml'), 'utf8')));
    expect(specs.length).toBeGreaterThan(30);
    const items = specs.map(({ name, spec }, index) => ({
      apiVersion: 'lcow.dev/v1alpha1',
      kind: 'LinuxUtilityVM',
      metadata: {
        name: `stored-${index}`,
        namespace: 'default',
        annotations: { about: name },
        finalizers: ['lcow.dev/teardown'],
      },
      spec,
    }));
    await $('create -f -', list(items));
    const before = await stored();
    await installCustomResources(cluster);
    // Except for `observedGeneration: 0`, a default of the current kinds.
    const unseen = before.map((each) => ({ ...each, status: { observedGeneration: 0 } }));
    await expect.poll(stored, patience).toEqual(unseen);
    const withStatus = before.map((each) => ({ ...each, status: { phase: 'Pending', observedGeneration: 1 } }));
    await $('replace --subresource=status -f -', list(withStatus));
    const current = await stored();
    const released = { finalizers: [], labels: { written: 'today' } };
    const freed = current.map((each) => ({ ...each, metadata: { ...each.metadata, ...released } }));
    await $('replace -f -', list(freed));
    expect((await stored()).map(({ spec }) => spec)).toEqual(before.map(({ spec }) => spec));
    await $('delete --raw /apis/lcow.dev/v1alpha1/namespaces/default/linuxutilityvms');
    expect(await stored()).toEqual([]);
  }, 60_000);

  const list = (items: readonly unknown[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });

  async function stored() {
    return machines.parse(JSON.parse(await $('get luvm -o json'))).items;
  }
});

describe('every recorded message', () => {
  it.each(manners)('is understood %s', (_, change) => {
    // `logsAck` acknowledges lines that a current agent has not sent.
    const told = conversation.filter(({ message }) => message.type !== 'logsAck');
    for (const { from, message } of told) understand(from, change(message));
  });

  function understand(from: 'agent' | 'operator', message: unknown): void {
    const parsed = (from === 'agent' ? messageOfAgents : operatorMessage).parse(message);
    if (parsed.type === 'observed') expect(parseObserved(parsed.virtualMachine)).toMatchObject({ ok: true });
    if (parsed.type === 'assign') expect(parseAssignment(parsed.virtualMachine)).toMatchObject({ ok: true });
  }
});

describe(`an agent of ${version}`, () => {
  let url: string;

  beforeAll(async () => {
    await installCustomResources(cluster);
    await $('create -f -', JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: node } }));
    await writeFile(join(directory, 'tokens.json'), JSON.stringify({ [token]: node }));
    await start('operator', 'operator/main.ts', [
      `--kubeconfig=${cluster.kubeconfigPath}`,
      `--agent-tokens=${join(directory, 'tokens.json')}`,
      ...['--bind-address=127.0.0.1', '--agents-port=0', '--health-port=0', '--api-port=0'],
    ]);
    const { agents } = await logged('operator', z.object({ msg: z.literal('listening'), agents: z.number() }));
    url = `ws://127.0.0.1:${agents}`;
    await vi.waitFor(() => $('get lease lcow-operator'), patience);
  }, 60_000);

  it.each(manners)('works with the current operator when it speaks %s', async (_, change) => {
    const replayed = replayAgent({ url, token }, conversation, change);
    const connected = vi.waitFor(async () => expect(await $('get luvmhost -o name')).toContain(node), patience);
    await Promise.race([replayed, connected]);
    for (const object of recordedVM) await $('create -f -', JSON.stringify(object));
    await $('wait --for=condition=Ready --timeout=30s luvm/recorded');
    await $('patch luvm recorded --type=merge -p {"spec":{"runStrategy":"Halted"}}');
    await $('wait --for=jsonpath={.status.phase}=Stopped --timeout=30s luvm/recorded');
    await $('delete luvm recorded --timeout=30s');
    await replayed;
    await $('delete configmap recorded-policy');
  });
});

describe(`an operator of ${version}`, () => {
  it.each(manners)('works with the current agent when it speaks %s', async (manner, change) => {
    await using operator = await ScriptedOperator.start();
    const name = manner.replaceAll(' ', '-');
    const socket = join(directory, `${name.length}.sock`);
    const host = script(`simulator/playground/hosts/${node}.yaml`);
    const files = ['--socket', socket, '--host', host, '--state-dir', join(directory, `host-${name}`)];
    await start(`host-${name}`, 'simulator/service/main.ts', files);
    await writeFile(join(directory, 'token'), 'secret');
    const agent = await start(`agent-${name}`, 'simulator/agent.ts', [
      `--operator-url=${operator.url}`,
      `--token-file=${join(directory, 'token')}`,
      `--state-dir=${join(directory, `state-${name}`)}`,
      ...[`--simulated-socket=${socket}`],
    ]);
    const session = await operator.session(0);
    await session.hello();
    const say = (type: string, index = 0) => {
      const said = conversation.filter(({ from, message }) => from === 'operator' && message.type === type)[index];
      session.send(JSON.stringify(change(retold(said?.message, new Map()))));
    };
    for (const type of ['welcome', 'desired', 'policy', 'assign']) say(type);
    const isReady = (machine: unknown) => {
      const { data } = z
        .object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })) })
        .safeParse(machine);
      return data?.conditions.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
    };
    await session.next('observed', ({ virtualMachine }) => isReady(virtualMachine));
    say('assign', 1);
    await session.next(
      'observed',
      ({ virtualMachine }) => virtualMachine['phase'] === 'Stopped' && isReady(virtualMachine),
    );
    say('release');
    await session.next('removed');
    // The current agent ignores the log lines that this operator allows it to send.
    expect(new Set(session.messages.map(({ type }) => type))).toEqual(new Set(['hello', 'observed', 'removed']));
    await agent.stop();
  });
});
