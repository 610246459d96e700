// The identity of an agent: its bearer token names the node that the agent may speak for. This file reads tokens from a
// file, for development. In a cluster the API server verifies them (token-review.ts).
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
      /** Uid of the Node that the token is bound to, if known. */
      readonly nodeUID?: string;
    }
  /** `retry`: the token could not be judged now. The message is for our log, never for the peer. */
  | { readonly ok: false; readonly retry: boolean; readonly message: string };

export interface AgentAuthenticator {
  /** `address`: where the token came from (`peerAddress`). It proves nothing, but distinguishes peers. */
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
 * A YAML or JSON file that maps each token to the name of its node, read again whenever it changes. An invalid entry is
 * ignored. While the file is not such a map, its last valid version applies.
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
    // A message of zod or the parser would put the tokens into our log.
    const problem = 'it must be a YAML or JSON map of tokens to names of nodes';
    if (this.#loaded === undefined) throw new Error(problem);
    this.#logger.error({ file: this.#path, problem }, 'the token file cannot be read: its last valid version applies');
    return { version, nodeOfDigest: this.#loaded.nodeOfDigest };
  }

  /** Log messages name an entry by its node, never by its token. */
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

/**
 * Undefined when the text is neither YAML nor JSON. JSON is valid YAML, but a JSON parser reads thousands of tokens
 * much faster.
 */
function parsed(text: string): unknown {
  for (const read of [(json: string): unknown => JSON.parse(json), (yaml: string): unknown => parse(yaml)]) {
    try {
      return read(text);
    } catch {}
  }
  return undefined;
}

/** Tokens are compared by digest, so that the time of a comparison reveals nothing about them. */
function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}
