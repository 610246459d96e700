// Where the serving certificate comes from: files that somebody else maintains, or our own store.
import { readFile, stat } from 'node:fs/promises';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { KeyPair } from './authority.ts';

export interface CertificateObserver {
  /** Applies to new handshakes. */
  serving(certificate: KeyPair): void;
  /** The authorities that sign the certificate now and soon, if known (PEM). Called repeatedly. */
  trusted?(bundle: string): void;
  /** The certificate in use stays. */
  failed(message: string): void;
}

export interface CertificateSource {
  start(observer: CertificateObserver): void;
  stop(): Promise<void>;
}

const checkMilliseconds = 60_000;

/** PEM files, read again when they change. */
export class CertificateFiles implements CertificateSource {
  readonly #paths: { readonly certificate: string; readonly key: string };
  readonly #clock: Clock;
  #version = '';
  #timer: Timer | undefined;
  #working: Promise<void> | undefined;
  #stopped = false;

  constructor(paths: { readonly certificate: string; readonly key: string }, clock: Clock) {
    this.#paths = paths;
    this.#clock = clock;
  }

  start(observer: CertificateObserver): void {
    this.#working = this.#look(observer)
      .catch((error: Error) => observer.failed(`the certificate cannot be read: ${error.message}`))
      .then(() => {
        if (!this.#stopped) this.#timer = this.#clock.after(checkMilliseconds, () => this.start(observer));
      });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#working;
  }

  async #look(observer: CertificateObserver): Promise<void> {
    const { certificate, key } = this.#paths;
    const version = (await Promise.all([stat(certificate), stat(key)])).map(({ mtimeMs, ino }) => `${mtimeMs}/${ino}`);
    if (version.join() === this.#version) return;
    observer.serving({ certificate: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') });
    this.#version = version.join();
  }
}
