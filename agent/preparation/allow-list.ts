// What the agent's flags allow manifests to name on its host (docs/design.md §10). Without flags that is nothing but
// boot files. The patterns are parsed once at start; an invalid one keeps the agent from starting.
import { type PathRule, parsePathRule } from './paths/path-rules.ts';
import { parsePipePattern } from './paths/pipe-patterns.ts';

export interface AllowList {
  /** Folders below which disks may be. */
  readonly paths: readonly PathRule[];
  /** Named pipes; a final `*` stands for any ending. */
  readonly pipes: readonly string[];
  /** Device instance ids; a final `*` stands for any ending. */
  readonly devices: readonly string[];
}

/** Parses the flags. Throws a `PatternError`. */
export function allowList(flags: { readonly [Kind in keyof AllowList]: readonly string[] }): AllowList {
  return { paths: flags.paths.map(parsePathRule), pipes: flags.pipes.map(parsePipePattern), devices: flags.devices };
}
