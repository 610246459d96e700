// Every other message that an agent can send, as fast as possible, for a few seconds each: data of streams that nobody
// opened, log lines, removals of VMs that do not exist, pings.
import type { WebSocket } from 'ws';
import { encodeStreamFrame } from '../../../protocol/streams/frames.ts';
import { type Attack, broken } from '../attack.ts';
import { flood, inventedUid, SeizedNode } from '../seized-node.ts';

const milliseconds = 4_000;

export const messageFlood: Attack = {
  name: 'message-flood',
  party: 'agent',
  promise: 'No flood of messages ends the operator or the session of another agent.',
  short: false,
  async run(target) {
    await using node = await SeizedNode.take(target);
    const counts: string[] = [];
    for (const [what, frame] of frames) {
      const socket = await node.dial();
      if (socket === undefined) return broken('the node could not connect');
      await node.welcomed(socket);
      counts.push(`${await flood(socket, repeated(frame), milliseconds)} × ${what}`);
      socket.terminate();
    }
    const socket = await node.dial();
    if (socket === undefined) return broken('the node could not connect');
    await node.welcomed(socket);
    counts.push(`${await pingUnread(socket)} × ping`);
    socket.terminate();
    return await node.verdict(counts.join(', '));
  },
};

const bytes = Buffer.alloc(60_000);
const frames: readonly (readonly [string, string | Buffer])[] = [
  ['data of a stream', encodeStreamFrame({ stream: 7, channel: 'stdout', bytes })],
  ['a byte of a stream', encodeStreamFrame({ stream: 7, channel: 'stdout', bytes: Buffer.alloc(1) })],
  ['streamData', JSON.stringify({ type: 'streamData', stream: 7, channel: 'stdout', data: 'AAAA'.repeat(16_000) })],
  ['streamCredit', JSON.stringify({ type: 'streamCredit', stream: 7, channel: 'stdin', bytes: 1 })],
  ['removed', JSON.stringify({ type: 'removed', uid: inventedUid(1) })],
  [
    'logs',
    JSON.stringify({
      type: 'logs',
      uid: inventedUid(1),
      boot: 1,
      first: 0,
      lines: Array.from({ length: 256 }, () => 'x'.repeat(100)),
      dropped: 0,
    }),
  ],
];

function* repeated(frame: string | Buffer): Iterable<string | Buffer> {
  for (;;) yield frame;
}

/** Sends pings and reads no answer. */
async function pingUnread(socket: WebSocket): Promise<number> {
  socket.pause();
  const end = performance.now() + milliseconds;
  let pings = 0;
  while (performance.now() < end) {
    for (let each = 0; each < 1_000 && socket.bufferedAmount < 1 << 20; each += 1) {
      socket.ping(bytes.subarray(0, 125));
      pings += 1;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return pings;
}
