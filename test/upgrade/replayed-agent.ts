// Replays the agent of an earlier version to an operator: it sends what it sent then, in response to the same messages.
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { agentsPath, subprotocol } from '../../protocol/messages.ts';
import { type Frame, type Message, retold } from './conversation.ts';

/** The messages that made the agent respond. It sent everything else at its own times. */
const triggers: ReadonlySet<string> = new Set(['welcome', 'assign', 'release', 'logsAck']);
const told = z.looseObject({ type: z.string() });
/** Without `logWindow` the agent of v0.1.0 refuses a welcome. With 0 it counts its guests' lines as lost. */
const welcome = z.object({ logWindow: z.int().min(1).max(2048) });
const assignment = z.object({
  type: z.literal('assign'),
  virtualMachine: z.object({ uid: z.string(), optionsDigest: z.string() }),
});

export async function replayAgent(
  { url, token }: { readonly url: string; readonly token: string },
  conversation: readonly Frame[],
  change: (message: unknown) => unknown,
): Promise<void> {
  const socket = await dial(`${url}${agentsPath}`, token);
  const heard: Message[] = [];
  socket.on('message', (data) => heard.push(told.parse(JSON.parse(String(data)))));
  const names = new Map<string, string>();
  try {
    for (const { from, message } of conversation) {
      if (from === 'agent') socket.send(JSON.stringify(change(retold(message, names))));
      else if (triggers.has(message.type)) {
        const now = await next(socket, heard, message.type);
        if (now.type === 'welcome') welcome.parse(now);
        learn(names, message, now);
      }
    }
  } finally {
    socket.close();
  }
}

/** A replica that does not lead yet answers 503, and is dialled again. */
async function dial(url: string, token: string): Promise<WebSocket> {
  for (let attempts = 50; ; attempts -= 1) {
    const socket = new WebSocket(url, [subprotocol], { headers: { authorization: `Bearer ${token}` } });
    try {
      await once(socket, 'open');
      return socket;
    } catch (error) {
      if (attempts === 0) throw error;
    }
    await delay(100);
  }
}

/** Maps the recorded ids and digests to the current ones. */
function learn(names: Map<string, string>, then: Message, now: Message): void {
  const [before, after] = [assignment.safeParse(then).data, assignment.safeParse(now).data];
  if (before === undefined || after === undefined) return;
  names.set(before.virtualMachine.uid, after.virtualMachine.uid);
  names.set(before.virtualMachine.optionsDigest, after.virtualMachine.optionsDigest);
}

/** Returns each message once. */
async function next(socket: WebSocket, heard: Message[], type: string): Promise<Message> {
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    const index = heard.findIndex((message) => message.type === type);
    const [found] = index < 0 ? [] : heard.splice(index, 1);
    if (found !== undefined) return found;
    await once(socket, 'message', { signal });
  }
}
