// What hcsshim does with a pod's annotations before it reads the options of a VM: runtime options become annotations,
// some annotations set others, and some contradict each other (docs/reference/hcs-documents.md §9.2).
import { quoteText } from '../agent/document/quoted-text.ts';
import { expansions, Key, PodKey } from './keys.ts';
import { AnnotationReader } from './reader.ts';
import type { OciSpec, RuntimeOptions } from './spec.ts';

/** An existing key is never replaced, even if its value is empty. */
export function withRuntimeOptions(spec: OciSpec, options: RuntimeOptions): Map<string, string> {
  const annotations = new Map(Object.entries(spec.annotations ?? {}));
  const given: readonly Pair[] = [
    [Key.BootFilesPath, String(options.boot_files_root_path || '')],
    [Key.ProcessorCount, String(options.vm_processor_count || '')],
    [Key.MemorySizeInMB, String(options.vm_memory_size_in_mb || '')],
    [Key.NetworkConfigProxy, String(options.NCProxyAddr || '')],
  ];
  const defaults = Object.entries(options.default_container_annotations ?? {});
  for (const [key, value] of [...given.filter(([, text]) => text !== ''), ...defaults]) {
    if (!annotations.has(key)) annotations.set(key, value);
  }
  return annotations;
}

export interface PodAnnotations {
  readonly reader: AnnotationReader;
  /** In the original's words. All of them are found before the pod fails. */
  readonly conflicts: readonly string[];
}

export function expandAnnotations(given: ReadonlyMap<string, string>): PodAnnotations {
  const annotations = new Map(given);
  const reader = new AnnotationReader(annotations);
  const conflicts: string[] = [];
  for (const [key, targets] of expansions) {
    const value = annotations.get(key);
    if (value === undefined) continue;
    for (const target of targets) {
      const other: string = annotations.get(target) ?? value;
      if (other === value) annotations.set(target, value);
      else {
        conflicts.push(`annotation expansion conflict: ${pair(key, value)} and ${pair(target, other)}`);
        warnOfConflict(reader, 'annotation expansion would overwrite conflicting value', [key, value], [target, other]);
      }
    }
  }
  return { reader, conflicts: [...conflicts, ...hostProcessConflict(reader)] };
}

/** Both values are parsed, so each can cause a warning. */
function hostProcessConflict(reader: AnnotationReader): string[] {
  const [disabled, enabled] = [reader.bool(PodKey.DisableHostProcess), reader.bool(PodKey.HostProcess)];
  if (disabled !== true || enabled !== true) return [];
  const first = [PodKey.DisableHostProcess, reader.text(PodKey.DisableHostProcess) ?? ''] as const;
  const second = [PodKey.HostProcess, reader.text(PodKey.HostProcess) ?? ''] as const;
  const message = 'Host process container and disable host process container cannot both be true';
  warnOfConflict(reader, message, first, second);
  const pairs = `${pair(...first)} and ${pair(...second)}`;
  return [`specified annotations conflict: host process container annotations ${pairs}`];
}

type Pair = readonly [key: string, value: string];

function pair(key: string, value: string): string {
  return `${quoteText(key)} = ${quoteText(value)}`;
}

function warnOfConflict(
  reader: AnnotationReader,
  message: string,
  [key, value]: Pair,
  [other, otherValue]: Pair,
): void {
  reader.warn(message, {
    'oci-annotation': key,
    value,
    'oci-annotation-conflict': other,
    'value-conflict': otherValue,
  });
}
