// Who an agent is: its bearer token names the node that it may speak for. Here by a file, for development; in a cluster
// the API server says it (token-review.ts).
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { parse } from 'yaml';
import { z } from 'zod';
import { messageOf } from '../../runtime/error-text.ts';

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
  /** `address`: where the token came from (`peerAddress`). It proves nothing, but tells peers apart. */
  authenticate(bearer: string, address: string): Promise<Authentication>;
}

const tokenChars = 16;
const tokenFile = z.record(z.string(), z.unknown());
const usableToken = z.string().regex(new RegExp(`^\\S{${tokenChars},8192}$`));
const nodeName = z.string().min(1).max(253);

interface LoadedTokens {
  readonly version: string;
  readonly nodeOfDigest: ReadonlyMap<string, string>;
}

/**
 * A YAML or JSON file that maps each token to the name of its node; read again whenever it changes. An entry that cannot be
 * used is left out alone, and while the file is no such map, the last one that was holds.
 */
export class StaticTokens implements AgentAuthenticator {
  readonly #path: string;
  readonly #logger: Logger;
  #loaded: LoadedTokens | undefined;
  #loading: Promise<LoadedTokens> | undefined;

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  async authenticate(bearer: string): Promise<Authentication> {
    let nodes: ReadonlyMap<string, string>;
    try {
      nodes = await this.#nodes();
    } catch (error) {
      const reason = messageOf(error);
      return { ok: false, retry: true, message: `the token file ${this.#path} cannot be used: ${reason}` };
    }
    const node = nodes.get(digestOf(bearer));
    return node === undefined ? { ok: false, retry: false, message: 'unknown token' } : { ok: true, nodeName: node };
  }

  async #nodes(): Promise<ReadonlyMap<string, string>> {
    const { mtimeMs, size, ino } = await stat(this.#path);
    const version = `${mtimeMs}/${size}/${ino}`;
    if (this.#loaded?.version === version) return this.#loaded.nodeOfDigest;
    this.#loading ??= this.#load(version).finally(() => {
      this.#loading = undefined;
    });
    this.#loaded = await this.#loading;
    return this.#loaded.nodeOfDigest;
  }

  async #load(version: string): Promise<LoadedTokens> {
    const tokens = tokenFile.safeParse(parsed(await readFile(this.#path, 'utf8')));
    if (tokens.success) return { version, nodeOfDigest: this.#nodesOf(tokens.data) };
    // What zod or the parser says of it would put the tokens into our log.
    const problem = 'it must be a YAML or JSON map of tokens to names of nodes';
    if (this.#loaded === undefined) throw new Error(problem);
    this.#logger.error({ file: this.#path, problem }, 'the token file cannot be read: its last good version holds');
    return { version, nodeOfDigest: this.#loaded.nodeOfDigest };
  }

  /** Names an entry by its node, never by its token. */
  #nodesOf(tokens: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
    const nodeOfDigest = new Map<string, string>();
    for (const [index, [token, value]] of Object.entries(tokens).entries()) {
      const node = nodeName.safeParse(value);
      const entry = { file: this.#path, entry: index + 1, ...(node.success && { node: node.data }) };
      if (!node.success) this.#logger.error(entry, 'an entry of the token file names no node: it is left out');
      else if (usableToken.safeParse(token).success) nodeOfDigest.set(digestOf(token), node.data);
      else this.#logger.error({ ...entry, tokenChars }, 'a token is too short or has spaces: its node is refused');
    }
    return nodeOfDigest;
  }
}

/** Undefined when it is neither YAML nor JSON. JSON is YAML, too, but thousands of tokens are read in no time as JSON only. */
function parsed(text: string): unknown {
  for (const read of [(json: string): unknown => JSON.parse(json), (yaml: string): unknown => parse(yaml)]) {
    try {
      return read(text);
    } catch {}
  }
  return undefined;
}

/** Tokens are compared by digest, so that the time of a comparison says nothing about them. */
function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
