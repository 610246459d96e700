// An agent whose answers are written to inject a header or control a terminal.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { streamsCapability } from '../../../protocol/streams/messages.ts';
import { channelSubprotocol, subresourcePath } from '../../../protocol/subresources.ts';
import { until } from '../../support/operator/fixture.ts';
import type { ScriptedAgent } from '../../support/operator/scripted-agent.ts';
import { SubresourcesBed } from '../../support/operator/subresources-bed.ts';

const hostile = '\u001b[2J\r\nSet-Cookie: a=b\r\n\r\n\u202e\u009b<script>\ud800';
const shown = '\\x1b[2J\\x0d\\x0aSet-Cookie: a=b\\x0d\\x0a\\x0d\\x0a\\u202e\\x9b<script>';

let bed: SubresourcesBed;
let agent: ScriptedAgent;
beforeAll(async () => {
  bed = await SubresourcesBed.start();
  agent = await bed.connectScriptedAgent('hostile', [streamsCapability]);
});
afterAll(async () => {
  await agent.disconnect();
  await bed[Symbol.asyncDispose]();
});

const upgrade = [
  `GET ${subresourcePath('default', 'hostile', 'exec')}?command=id HTTP/1.1`,
  'Host: operator',
  'X-Remote-User: u',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  `Sec-WebSocket-Protocol: ${channelSubprotocol}`,
];

/** The id of the stream that a user opens next. */
async function wanted(type: 'exec' | 'logFollow', before: number): Promise<number> {
  await until(() => agent.receivedOf(type).length > before);
  return agent.receivedOf(type).at(-1)?.stream ?? 0;
}

/** @param problem any JSON */
function close(stream: number, problem: unknown, message = hostile): void {
  agent.send(JSON.parse(JSON.stringify({ type: 'streamClosed', stream, problem, message })));
}

it.each([
  [hostile, 'Failed', 500],
  ['500 OK\r\nX: y', 'Failed', 500],
  ['NotRunning\n', 'Failed', 500],
  ['', 'Failed', 500],
  ['A'.repeat(65), 'Failed', 500],
  [5, 'Failed', 500],
  [{ a: 1 }, 'Failed', 500],
  ['OfALaterVersion', 'OfALaterVersion', 500],
  ['NotRunning', 'NotRunning', 409],
])('an answer %j about a missing process adds no text to the head of the response', async (problem, reason, code) => {
  const before = agent.receivedOf('exec').length;
  const answering = bed.answerTo(`${upgrade.join('\r\n')}\r\n\r\n`);
  close(await wanted('exec', before), problem);
  const [head = '', body = '', ...more] = (await answering).split('\r\n\r\n');
  const phrase = code === 500 ? 'Internal Server Error' : 'Conflict';
  expect(head.split('\r\n')).toEqual([
    `HTTP/1.1 ${code} ${phrase}`,
    'Connection: close',
    'Content-Type: application/json',
    'X-Content-Type-Options: nosniff',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]);
  expect(more).toEqual([]);
  const status = JSON.parse(body);
  expect(status).toMatchObject({ kind: 'Status', code, reason });
  expect(status.message).toContain(shown);
  // Only this stream is affected.
  expect(agent.isOpen).toBe(true);
});

it('nor does the same answer about a log', async () => {
  const before = agent.receivedOf('logFollow').length;
  const answering = bed.get({ subresource: 'log', name: 'hostile' });
  close(await wanted('logFollow', before), hostile);
  const { code, text } = await answering;
  expect([code, JSON.parse(text).reason]).toEqual([500, 'Failed']);
  expect(JSON.parse(text).message).toContain(shown);
});

it('nor does the same answer about a running process', async () => {
  const before = agent.receivedOf('exec').length;
  const stream = bed.open({ subresource: 'exec', name: 'hostile', query: 'command=id' });
  const id = await wanted('exec', before);
  agent.send({ type: 'streamOpened', stream: id, window: 65_536, processID: 1 });
  await stream.started();
  close(id, hostile);
  await until(() => stream.closed);
  expect(stream.said.at(-1)).toMatchObject({ type: 'failed', problem: 'Failed' });
  expect(JSON.stringify(stream.said.at(-1))).toContain(JSON.stringify(shown).slice(1, -1));
});
