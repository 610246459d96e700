// The files that say how metrics are served, and to whom. Somebody else renews them, so they are read again when they
// change: all of them, because a new certificate may come with a new authority.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { ServingCertificate } from '../connections/guarded-server.ts';

/** Paths. */
export interface MetricsFiles {
  readonly tls?:
    | { readonly certificate: string; readonly key: string; readonly clientAuthority?: string | undefined }
    | undefined;
  readonly token?: string | undefined;
}

export interface MetricsCredentials {
  readonly serving: ServingCertificate | undefined;
  /** SHA-256 of the token that readers present. */
  readonly token: Buffer | undefined;
}

export class MetricsFileReader {
  readonly #files: MetricsFiles;
  #version: string | undefined;

  constructor(files: MetricsFiles) {
    this.#files = files;
  }

  /** Undefined if nothing has changed since the last time. Throws if a file cannot be read. */
  async read(): Promise<MetricsCredentials | undefined> {
    const { tls, token } = this.#files;
    const paths = [tls?.certificate, tls?.key, tls?.clientAuthority, token].filter((path) => path !== undefined);
    const states = await Promise.all(paths.map((path) => stat(path)));
    const version = states.map(({ mtimeMs, ino }) => `${mtimeMs}/${ino}`).join();
    if (version === this.#version) return undefined;
    const credentials = {
      serving: tls && {
        certificate: await readFile(tls.certificate),
        key: await readFile(tls.key),
        clientAuthority: tls.clientAuthority === undefined ? undefined : await readFile(tls.clientAuthority),
      },
      token: token === undefined ? undefined : digestOfToken((await readFile(token, 'utf8')).trim()),
    };
    this.#version = version;
    return credentials;
  }

  /** The credentials could not be used, so the next `read` returns them again. */
  forget(): void {
    this.#version = undefined;
  }
}

export function digestOfToken(token: string): Buffer {
  if (token === '') throw new Error('the token of the readers of metrics is empty');
  return createHash('sha256').update(token).digest();
}
