// Asks an API server whether it is ready, as its administrator.
import { Agent, request } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Identity } from '../certificates.ts';

const intervalMilliseconds = 50;

export class ApiServerProbe {
  readonly #server: string;
  readonly #agent: Agent;

  constructor(server: string, authority: string, admin: Identity) {
    this.#server = server;
    this.#agent = new Agent({ ca: authority, cert: admin.certificate, key: admin.key });
  }

  /** Resolves once each of `paths` is answered with 200. `requireRunning` rejects when further waiting is pointless. */
  async untilAnswered(
    paths: readonly string[],
    requireRunning: () => Promise<unknown>,
    timeoutMilliseconds = 60_000,
  ): Promise<void> {
    const deadline = Date.now() + timeoutMilliseconds;
    for (const path of paths) {
      while ((await this.#status(path)) !== 200) {
        await requireRunning();
        if (Date.now() > deadline)
          throw new Error(`the API server did not answer ${path} in ${timeoutMilliseconds} ms`);
        await sleep(intervalMilliseconds);
      }
    }
  }

  /** The HTTP status of a GET; undefined without an answer. */
  #status(path: string): Promise<number | undefined> {
    return new Promise((resolve) => {
      const outgoing = request(new URL(path, this.#server), { agent: this.#agent, timeout: 2000 }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      outgoing.on('timeout', () => outgoing.destroy());
      outgoing.on('error', () => resolve(undefined));
      outgoing.end();
    });
  }
}
