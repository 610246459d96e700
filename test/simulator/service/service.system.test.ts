import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { simulatedHostFile } from '../../../simulator/host-file.ts';
import { maxLineBytes } from '../../../simulator/wire/rpc.ts';
import {
  defaultHost,
  newSystemId,
  ordinaryDocument,
  startNode,
  type TestNode,
} from '../../support/agent/simulated-node.ts';

/** The service's answer to raw bytes, until it answers or the connection ends. */
function exchange(node: TestNode, bytes: string, until: 'answer' | 'end'): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(node.socketPath);
    let answer = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      if (until === 'answer' && answer.endsWith('\n')) socket.destroy();
    });
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
  });
}

describe('the service of a simulated node', () => {
  it.each([
    ['no JSON', 'hello\n'],
    ['no request', '{"number":0}\n'],
    ['an endless line', 'x'.repeat(maxLineBytes + 1)],
  ])('ends a connection that sends %s, and no other', async (_, bytes) => {
    await using node = await startNode();
    expect(await exchange(node, bytes, 'end')).toBe('');
    expect(await node.control.systems()).toEqual([]);
  });

  it.each([
    ['{"number":1,"method":"toString","params":{}}\n', 'there is no such method'],
    ['{"number":1,"method":"stat","params":{"path":5}}\n', 'expected string'],
    ['{"number":1,"method":"stat","params":{"path":"x","more":1}}\n', 'Unrecognized key'],
    ['{"number":1,"method":"script","params":{"rule":{"at":"nowhere"}}}\n', 'Invalid option'],
    ['{"number":1,"method":"start","params":{"handle":77}}\n', '2147942406'],
    ['{"number":1,"method":"endGuest","params":{"system":"x","how":"crash"}}\n', 'SYSTEM_NOT_FOUND'],
  ])('answers %s with the error', async (bytes, mention) => {
    await using node = await startNode();
    expect(await exchange(node, bytes, 'answer')).toContain(mention);
  });

  it('does not let one client use the handle of another', async () => {
    await using node = await startNode();
    const { backend } = await node.connect();
    const system = await backend.create(newSystemId(), JSON.stringify(ordinaryDocument()));
    const handles = (await node.control.system(system.id))?.handles;
    await exchange(node, '{"number":1,"method":"close","params":{"handle":1}}\n', 'answer');
    const start = '{"number":1,"method":"start","params":{"handle":1}}\n';
    expect(await exchange(node, start, 'answer')).toContain('ERROR_INVALID_HANDLE');
    expect((await node.control.system(system.id))?.handles).toBe(handles);
  });
});

describe('host.yaml', () => {
  it('has defaults for everything except what defines a host', () => {
    const host = simulatedHostFile.parse({ build: 20348, logicalProcessors: 4 });
    expect(host).toMatchObject({ architecture: 'amd64', memoryInMB: 16_384, bootFilesPath: 'C:\\LinuxBootFiles' });
    expect(host.timing).toMatchObject({ bootMilliseconds: 250, redialMilliseconds: 100 });
  });

  it.each([
    [{ build: 70_000 }],
    [{ nonsense: 1 }],
    [{ files: { a: -1 } }],
    [{ script: [{ at: 'create', fail: { hresult: 'E_FAIL' } }] }],
    [{ timing: { bootMilliseconds: -1 } }],
  ])('refuses %j', (change) => {
    expect(simulatedHostFile.safeParse({ ...defaultHost, ...change }).success).toBe(false);
  });
});
