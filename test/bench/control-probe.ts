// Preloaded into the operator of `npm run bench -- logs`. When somebody asks for the document of a VM, it repeats that
// request many times over the session of the host, and prints how long the agent's first answer took. That is one
// control message in each direction. The time counts from when the request was due, so that a delayed event loop of the
// operator is included.
import { performance } from 'node:perf_hooks';
import { SessionStreams, type StreamRequest } from '../../operator/agents/session-streams.ts';

const every = 50;

interface Target {
  readonly streams: SessionStreams;
  readonly uid: string;
}

const open = SessionStreams.prototype.open;
let target: Target | undefined;

SessionStreams.prototype.open = function (this: SessionStreams, request: StreamRequest) {
  if (request.type === 'document' && target === undefined) {
    target = { streams: this, uid: request.uid };
    ask(target, performance.now() + every);
  }
  return open.call(this, request);
};

function ask(of: Target, due: number): void {
  setTimeout(
    () => {
      askNow(of, due).then((asked) => ask(of, due + every * Math.max(1, Math.ceil((asked - due) / every))));
    },
    Math.max(0, due - performance.now()),
  ).unref();
}

/** @returns when the answer arrived */
async function askNow({ streams, uid }: Target, due: number): Promise<number> {
  const stream = open.call(streams, { type: 'document', uid });
  const beginning = await stream?.beginning;
  const now = performance.now();
  stream?.close();
  const answer = { controlMilliseconds: now - due, at: performance.timeOrigin + now, answered: beginning?.ok === true };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  return now;
}
