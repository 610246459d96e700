// Who an agent is: its bearer token names the node that it may speak for. Here by a file, for development; in a cluster
// the API server says it (token-review.ts).
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';

export type Authentication =
  | {
      readonly ok: true;
      readonly nodeName: string;
      /** Of the Node that the token is bound to, where that is known. */
      readonly nodeUID?: string;
    }
  /** `retry`: it could not be judged now. The message is for our log, never for the peer. */
  | { readonly ok: false; readonly retry: boolean; readonly message: string };

export interface AgentAuthenticator {
  authenticate(bearer: string): Promise<Authentication>;
}

const tokenChars = 16;
const tokenFile = z.record(z.string().min(tokenChars), z.string().min(1).max(253));

/** A YAML or JSON file that maps each token to the name of its node; read again whenever it changes. */
export class StaticTokens implements AgentAuthenticator {
  readonly #path: string;
  #loaded: { readonly version: string; readonly nodeOfDigest: ReadonlyMap<string, string> } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async authenticate(bearer: string): Promise<Authentication> {
    let nodes: ReadonlyMap<string, string>;
    try {
      nodes = await this.#nodes();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { ok: false, retry: true, message: `the token file ${this.#path} cannot be used: ${reason}` };
    }
    const nodeName = nodes.get(digestOf(bearer));
    return nodeName === undefined ? { ok: false, retry: false, message: 'unknown token' } : { ok: true, nodeName };
  }

  async #nodes(): Promise<ReadonlyMap<string, string>> {
    const { mtimeMs, size, ino } = await stat(this.#path);
    const version = `${mtimeMs}/${size}/${ino}`;
    if (this.#loaded?.version === version) return this.#loaded.nodeOfDigest;
    const tokens = tokenFile.safeParse(parse(await readFile(this.#path, 'utf8')));
    // What zod says of it would put the tokens into our log.
    if (!tokens.success) throw new Error(`it must map tokens of at least ${tokenChars} characters to names of nodes`);
    const nodeOfDigest = new Map(Object.entries(tokens.data).map(([token, node]) => [digestOf(token), node]));
    this.#loaded = { version, nodeOfDigest };
    return nodeOfDigest;
  }
}

/** Tokens are compared by digest, so that the time of a comparison says nothing about them. */
function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
