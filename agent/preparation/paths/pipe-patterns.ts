// `--allowed-pipe NAME`: a named pipe that manifests may use for consoles. `{namespace}` stands for the namespace of
// the VM, a final `*` for any ending.
import { namespacePlaceholder, PatternError, requireKnownPlaceholders } from './pattern-error.ts';
import { endsInDotOrSpace, foldCase } from './windows-names.ts';

const pipeFolder = '\\\\.\\pipe\\';
/**
 * First segments with a meaning of their own: Windows resolves `LOCAL\x` to `x`, regardless of its owner, and reserves
 * names below `ProtectedPrefix`, including the agent's lock, for Administrators. A namespace may have one of these
 * names.
 */
const pipesOfWindows: ReadonlySet<string> = new Set(['LOCAL', 'PROTECTEDPREFIX']);
/** Characters that no namespace name contains, so that one namespace cannot be the beginning of another one's pipe. */
const endsOfNamespace: readonly string[] = ['.', '_', '\\'];
const maxPipeCharacters = 256;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const forbiddenCharacter = /[\u0000-\u001f/]/;

/** Throws a `PatternError`; returns the pattern. */
export function parsePipePattern(pattern: string): string {
  if (pattern === '*') return pattern;
  requireKnownPlaceholders(pattern);
  if (!foldCase(pattern).startsWith(foldCase(pipeFolder))) {
    throw new PatternError(`${pattern}: must begin with ${pipeFolder}; write ${pipeFolder}console-*`);
  }
  if (pattern.slice(0, -1).includes('*')) {
    throw new PatternError(`${pattern}: * stands for any ending and must be the last character`);
  }
  for (const rest of pattern.split(namespacePlaceholder).slice(1)) {
    if (endsOfNamespace.some((end) => rest.startsWith(end))) continue;
    const why = `${namespacePlaceholder} must be followed by ${endsOfNamespace.join(' or ')}`;
    const example = `${pipeFolder}${namespacePlaceholder}_*`;
    throw new PatternError(`${pattern}: ${why}, which end the name of a namespace; write ${example}`);
  }
  return pattern;
}

/** Why a manifest must not name this pipe: Windows resolves the name to another pipe, or to none. */
export function pipeProblem(name: string): string | undefined {
  if (name.length > maxPipeCharacters) return `has more than ${maxPipeCharacters} characters`;
  if (!foldCase(name).startsWith(foldCase(pipeFolder))) return `must begin with ${pipeFolder}`;
  const rest = name.slice(pipeFolder.length);
  if (!rest.isWellFormed() || forbiddenCharacter.test(rest)) return 'must not contain / or control characters';
  const segments = rest.split('\\');
  if (segments.some((segment) => segment === '' || endsInDotOrSpace(segment))) {
    return 'must not have a part that is empty or ends in a dot or space';
  }
  if (!pipesOfWindows.has(foldCase(segments[0] ?? ''))) return undefined;
  return String.raw`must not begin with LOCAL\ or ProtectedPrefix\, which Windows has for itself`;
}

export function isPipeAllowed(name: string, namespace: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => matches(name, pattern.replaceAll(namespacePlaceholder, namespace)));
}

/** Compares case-insensitively; a final `*` matches any ending. */
export function matches(name: string, pattern: string): boolean {
  const [given, wanted] = [foldCase(name), foldCase(pattern)];
  return wanted.endsWith('*') ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
}
