// The binding of computecore.dll on a service process, where VMs can outlive the process that created them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemIdOf } from '../../../../agent/node/system-id.ts';
import { someUid } from '../../../support/agent/assignments.ts';
import { describeBackend } from '../../../support/agent/backend-contract.ts';
import {
  loggingCommand,
  newSystemId,
  ordinaryDocument,
  startNode,
  type TestNode,
} from '../../../support/agent/simulated-node.ts';
import { buildDouble } from '../../../support/doubles/build.ts';
import { nothingLeft } from '../../../support/doubles/computecore.ts';
import { ComputeCoreService } from '../../../support/doubles/computecore-service.ts';
import { until } from '../../../support/until.ts';

let node: TestNode;
let service: ComputeCoreService;

beforeAll(async () => {
  node = await startNode();
  service = await ComputeCoreService.connect(node.socketPath, node.socketDirectory);
});
afterEach(() => {
  service.reset();
  expect(service.counts()).toEqual(nothingLeft);
});
afterAll(async () => {
  await node[Symbol.asyncDispose]();
});

describeBackend('ComputeCoreBackend over a service process', async () => {
  const backends = [service.backend()];
  const another = async () => {
    const backend = service.backend();
    backends.push(backend);
    return backend;
  };
  const [backend = await another()] = backends;
  return {
    backend,
    newId: newSystemId,
    document: (options) => JSON.stringify(ordinaryDocument(options)),
    another,
    async [Symbol.asyncDispose]() {
      for (const each of backends) await each.close();
    },
  };
});

describe('a system of the service', () => {
  it('has a guest that dials its host by itself, and reports its end', async () => {
    const backend = service.backend();
    const document = JSON.stringify(ordinaryDocument({ command: loggingCommand }));
    const system = await backend.create(newSystemId(), document);
    await system.start();
    // Nobody listens for its log, and such a guest dies without a log connection (hcs-runtime D.2).
    expect(await system.ended).toMatchObject({ kind: 'exited', exit: { exitType: 'UnexpectedExit' } });
    await backend.close();
  });

  it('refuses with the errors of HCS', async () => {
    const backend = service.backend();
    const id = newSystemId();
    const system = await backend.create(id, JSON.stringify(ordinaryDocument()));
    await expect(backend.create(id, JSON.stringify(ordinaryDocument()))).rejects.toMatchObject({
      isAlreadyExists: true,
    });
    await expect(backend.create(newSystemId(), '{"Nonsense":"ü"}')).rejects.toMatchObject({ isDocumentRefused: true });
    await system.close();
    await backend.close();
  });
});

const program = fileURLToPath(new URL('../../../support/agent/service-agent.ts', import.meta.url));
const report = z.object({ lastExit: z.string().optional(), restarts: z.int(), runtimeID: z.string() });

function startAgent(of: TestNode, outlives: boolean): ChildProcess {
  const parameters = [of.socketPath, of.socketDirectory, of.folder, outlives ? 'outlives' : 'ends'];
  return spawn(process.execPath, [program, ...parameters], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function running(agent: ChildProcess): Promise<z.infer<typeof report>> {
  if (agent.stdout === null) throw new Error('the agent has no output');
  const [line] = await once(createInterface(agent.stdout), 'line');
  return report.parse(JSON.parse(String(line)));
}

async function kill(agent: ChildProcess): Promise<void> {
  const ended = once(agent, 'exit');
  agent.kill('SIGKILL');
  await ended;
}

describe('an agent on computecore.dll that is killed', () => {
  beforeAll(async () => {
    await buildDouble('computecore-client');
  });

  it('leaves a VM running that outlives it, and its successor adopts that VM', async () => {
    await using own = await startNode();
    const first = startAgent(own, true);
    const before = await running(first);
    await kill(first);
    expect((await own.control.system(systemIdOf(someUid)))?.state).toBe('Running');
    const second = startAgent(own, true);
    expect(await running(second)).toEqual(before);
    await kill(second);
  });

  it('loses its other VM, and its successor starts that VM again', async () => {
    await using own = await startNode();
    const first = startAgent(own, false);
    const before = await running(first);
    await kill(first);
    await until(
      'the VM is gone',
      async () => (await own.control.system(systemIdOf(someUid)))?.runtimeId !== before.runtimeID,
    );
    const second = startAgent(own, false);
    const after = await running(second);
    expect(after).toMatchObject({ lastExit: 'AgentExit', restarts: 1 });
    expect(after.runtimeID).not.toBe(before.runtimeID);
    await kill(second);
  });
});
