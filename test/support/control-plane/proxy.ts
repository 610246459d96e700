// Plain HTTP to a cluster's API server, with the rights of its kubeconfig, whatever its kind of credentials.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { KubectlTarget } from './kubectl.ts';

export interface ApiResponse {
  readonly status: number;
  /** Parsed JSON. */
  readonly body: unknown;
}

export type PatchType = 'apply-patch+yaml' | 'merge-patch+json' | 'json-patch+json';

/** Runs `kubectl proxy` until it is disposed of. */
export class ApiProxy implements AsyncDisposable {
  readonly url: string;
  readonly #close: () => Promise<unknown>;

  private constructor(url: string, close: () => Promise<unknown>) {
    this.url = url;
    this.#close = close;
  }

  static async open({ kubectl, kubeconfigPath }: KubectlTarget): Promise<ApiProxy> {
    const child = spawn(kubectl, ['--kubeconfig', kubeconfigPath, 'proxy', '--port=0'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const closed = once(child, 'close');
    for await (const line of createInterface(child.stdout)) {
      const address = /serve on (\S+)/.exec(line)?.[1];
      if (address === undefined) continue;
      return new ApiProxy(`http://${address}`, () => {
        child.kill();
        return closed;
      });
    }
    throw new Error('kubectl proxy ended before it served');
  }

  /** `path` begins with `/api`; a body is sent as JSON. */
  async request(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<ApiResponse> {
    const response = await fetch(new URL(path, this.url), {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': contentType } }),
    });
    return { status: response.status, body: await response.json() };
  }

  patch(path: string, type: PatchType, body: unknown): Promise<ApiResponse> {
    return this.request('PATCH', path, body, `application/${type}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}
