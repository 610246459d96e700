// The files of a golden case's host (README.md, "The simulated host").
import type { FileFact, FileFacts } from '../../agent/document/facts.ts';

export interface FileFaults {
  readonly stat?: Readonly<Record<string, string>> | undefined;
  readonly copy?: Readonly<Record<string, string>> | undefined;
  readonly grantAll?: Readonly<Record<string, string>> | undefined;
}

export class SimulatedFiles implements FileFacts {
  readonly #sizes = new Map<string, number>();
  readonly #folders = new Set<string>(['c:\\linuxbootfiles']);
  readonly #statFaults: ReadonlyMap<string, string>;
  readonly #copyFaults: ReadonlyMap<string, string>;
  readonly #grantFaults: ReadonlyMap<string, string>;

  constructor(files: Readonly<Record<string, number>>, faults: FileFaults = {}) {
    for (const [path, size] of Object.entries(files)) {
      this.#add(path, size);
    }
    this.#statFaults = byPath(faults.stat);
    this.#copyFaults = byPath(faults.copy);
    this.#grantFaults = byPath(faults.grantAll);
  }

  stat(path: string): FileFact {
    const key = path.toLowerCase();
    const fault = this.#statFaults.get(key);
    if (fault !== undefined) {
      return { kind: 'error', message: fault };
    }
    const size = this.#sizes.get(key);
    if (size !== undefined) {
      return { kind: 'file', size };
    }
    return this.#hasFolder(key) ? { kind: 'folder' } : { kind: 'notFound' };
  }

  /** Roots are looked up with their separator: `C:\`, `\\server\share\`. */
  #hasFolder(key: string): boolean {
    return this.#folders.has(key.endsWith('\\') ? key.slice(0, -1) : key);
  }

  /** The cause of a failure, or nothing. */
  copy(from: string, to: string): string | undefined {
    const fault = this.#copyFaults.get(to.toLowerCase());
    if (fault !== undefined) {
      return fault;
    }
    const size = this.#sizes.get(from.toLowerCase());
    if (size === undefined) {
      return this.#hasFolder(from.toLowerCase()) ? 'Access is denied.' : 'The system cannot find the file specified.';
    }
    this.#add(to, size);
    return undefined;
  }

  grant(path: string): string | undefined {
    return this.#grantFaults.get(path.toLowerCase());
  }

  remove(path: string): void {
    this.#sizes.delete(path.toLowerCase());
  }

  has(path: string): boolean {
    return this.#sizes.has(path.toLowerCase());
  }

  #add(path: string, size: number): void {
    const key = path.toLowerCase();
    this.#sizes.set(key, size);
    for (let end = key.lastIndexOf('\\'); end > 0; end = key.lastIndexOf('\\', end - 1)) {
      this.#folders.add(key.slice(0, end));
    }
  }
}

function byPath(faults: Readonly<Record<string, string>> | undefined): ReadonlyMap<string, string> {
  return new Map(Object.entries(faults ?? {}).map(([path, text]) => [path.toLowerCase(), text]));
}
