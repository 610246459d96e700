// What the builder must know about the host and its files. The builder queries nothing: its caller gathers these facts
// first.

/** "amd64" stands for anything that is not arm64 (docs/reference/hcs-documents.md §6.10). */
export type Architecture = 'amd64' | 'arm64';

/**
 * The answer to the host's processor query (§4). A failed query is a value too: the builder reports it at its place in
 * the original's order, after a missing kernel and before a refused CPU group.
 */
export type ProcessorFact =
  | { readonly kind: 'known'; readonly logicalProcessors: number }
  /** The text after `failed to get host processor information: `. */
  | { readonly kind: 'error'; readonly message: string };

export interface HostFacts {
  readonly architecture: Architecture;
  /** Windows build number. */
  readonly build: number;
  readonly processors: ProcessorFact;
}

export type FileFact =
  | { readonly kind: 'file'; readonly size: number }
  | { readonly kind: 'folder' }
  | { readonly kind: 'notFound' }
  /** Any other failure of the look-up, in the system's words. */
  | { readonly kind: 'error'; readonly message: string };

export interface FileFacts {
  stat(path: string): FileFact;
}

/** §0.4: a look-up that fails for any reason other than absence counts as existing. */
export function exists(files: FileFacts, path: string): boolean {
  return files.stat(path).kind !== 'notFound';
}

/** The stricter look-up for boot folders (§2.2, §2.3): the entry exists and can be examined. */
export function statSucceeds(files: FileFacts, path: string): boolean {
  const { kind } = files.stat(path);
  return kind === 'file' || kind === 'folder';
}
