// What the flags of an agent allow manifests to name on its host (docs/design.md §10): nothing besides boot files until
// somebody says so. The patterns are read once, at the agent's start, which a bad one prevents.
import { type PathRule, parsePathRule } from './paths/path-rules.ts';
import { parsePipePattern } from './paths/pipe-patterns.ts';

export interface AllowList {
  /** Folders below which disks may lie. */
  readonly paths: readonly PathRule[];
  /** Named pipes; a final `*` stands for any ending. */
  readonly pipes: readonly string[];
  /** Device instance ids; a final `*` stands for any ending. */
  readonly devices: readonly string[];
}

/** As the flags have them. Throws a `PatternError`. */
export function allowList(flags: { readonly [Kind in keyof AllowList]: readonly string[] }): AllowList {
  return { paths: flags.paths.map(parsePathRule), pipes: flags.pipes.map(parsePipePattern), devices: flags.devices };
}
