// A process in a guest whose input and output are archives.
import { PassThrough, Writable } from 'node:stream';
import type { Api } from '../api.ts';
import { ChannelSession, type SessionEnd } from '../channel-session.ts';
import { start } from '../start.ts';

export interface GuestProcess {
  readonly output: AsyncIterable<Uint8Array>;
  /** Resolves once the network has taken the bytes. */
  send(bytes: Buffer): Promise<void>;
  endInput(): Promise<void>;
  /** Resolves when the process has ended well. Rejects with what it wrote, or why its end is not known. */
  readonly ended: Promise<void>;
  close(): void;
}

export type RunInGuest = (command: readonly string[]) => Promise<GuestProcess>;

/** Of what a process writes on its errors: enough to say what went wrong. */
const keptErrorCharacters = 4_096;

export function runInGuest(api: Api, name: string): RunInGuest {
  return async (command) => {
    const query = new URLSearchParams({ stdin: 'true', stdout: 'true', stderr: 'true' });
    for (const word of command) query.append('command', word);
    const output = new PassThrough();
    let told = '';
    const errors = new Writable({
      write(chunk, _encoding, done) {
        told = (told + String(chunk)).slice(0, keptErrorCharacters);
        done();
      },
    });
    const session = new ChannelSession(await start(api, name, 'exec', query), { output, errors });
    const ended = session.ended.then((end) => {
      output.end();
      const problem = problemOf(end, told.trim());
      if (problem !== undefined) throw new Error(problem);
    });
    ended.catch(() => undefined);
    return {
      output,
      send: (bytes) => session.send(bytes),
      endInput: () => session.endInput(),
      ended,
      close: () => {
        session.close();
        output.destroy();
      },
    };
  };
}

function problemOf(end: SessionEnd, told: string): string | undefined {
  switch (end.kind) {
    case 'exited':
      if (end.exitCode === 0) return undefined;
      return told === '' ? `the command in the guest ended with code ${end.exitCode}` : told;
    case 'failed':
      return end.message;
    case 'lost':
      return 'the connection was lost';
  }
}
