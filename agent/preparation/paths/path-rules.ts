// `--allowed-path PATH[:ro]`: a folder below which manifests may name disks and shares, read-only with `:ro`. The segment
// `{namespace}` stands for the namespace of the VM. The longest matching rule decides.
import { namespacePlaceholder, PatternError, requireKnownPlaceholders } from './pattern-error.ts';
import { isWithin, pathProblem, segmentsOf } from './windows-names.ts';

export interface PathRule {
  /** May contain `{namespace}` as a whole segment. */
  readonly folder: string;
  readonly isReadOnly: boolean;
}

const readOnlySuffix = ':ro';

/** Throws a `PatternError`. */
export function parsePathRule(pattern: string): PathRule {
  const isReadOnly = pattern.endsWith(readOnlySuffix);
  const folder = isReadOnly ? pattern.slice(0, -readOnlySuffix.length) : pattern;
  requireKnownPlaceholders(folder);
  const problem = pathProblem(folder.replaceAll(namespacePlaceholder, 'namespace'));
  if (problem !== undefined) {
    const fix = String.raw`write the folder as D:\disks, or D:\disks:ro for reading only`;
    throw new PatternError(`${pattern}: the path ${problem}; ${fix}`);
  }
  if (folder.split(/[\\/]/).some((segment) => segment.includes('{namespace') && segment !== namespacePlaceholder)) {
    const fix = String.raw`write D:\disks\{namespace}`;
    throw new PatternError(`${pattern}: ${namespacePlaceholder} must be a whole segment of the path; ${fix}`);
  }
  return { folder, isReadOnly };
}

/** The rules that apply to the VMs of one namespace. */
export function rulesFor(namespace: string, rules: readonly PathRule[]): readonly PathRule[] {
  return rules.map(({ folder, isReadOnly }) => ({
    folder: folder.replaceAll(namespacePlaceholder, namespace),
    isReadOnly,
  }));
}

/** The rule that decides about the path. Of two rules for the same folder, the stricter one. */
export function ruleOf(path: string, rules: readonly PathRule[]): PathRule | undefined {
  const segments = segmentsOf(path);
  const matching = rules
    .map((rule) => ({ rule, folder: segmentsOf(rule.folder) }))
    .filter(({ folder }) => isWithin(segments, folder));
  const [longest] = matching.sort(
    (a, b) => b.folder.length - a.folder.length || Number(b.rule.isReadOnly) - Number(a.rule.isReadOnly),
  );
  return longest?.rule;
}
