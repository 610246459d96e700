// `convert`: from the annotations of a pod on hcsshim to the manifest of a LinuxUtilityVM, and to what the manifest
// cannot say.
import { stringify } from 'yaml';
import { apiVersion } from '../crds/names.ts';
import { messageOf } from '../runtime/error-text.ts';
import { type GivenOptions, readAnnotations } from './given.ts';
import { type AnnotatedInput, readInput } from './input.ts';
import { manifestSpec } from './manifest-spec.ts';
import { refusalOf } from './refusal.ts';
import { type Remark, remarkLine, remarkOnIgnored, remarkOnKey } from './remarks.ts';
import type { OciSpec } from './spec.ts';

export interface ConvertOptions {
  /** For messages; `-` is standard input. */
  readonly file: string;
  /** Default: the name of the pod. */
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
}

export interface ConvertPorts {
  readonly out: (text: string) => void;
  /** One line each. */
  readonly problem: (line: string) => void;
}

export interface SpecConversion {
  readonly kind: 'spec';
  readonly given: GivenOptions;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly remarks: readonly Remark[];
}

/** Refused: hcsshim creates no pod with these annotations, on no host. */
export type Conversion = SpecConversion | { readonly kind: 'refused'; readonly message: string };

const defaultName = 'converted';

/** Prints the manifest. Undefined: the input cannot be read, or hcsshim refuses it; the reason is printed. */
export function convert(text: string, options: ConvertOptions, ports: ConvertPorts): SpecConversion | undefined {
  let input: AnnotatedInput;
  try {
    input = readInput(text);
  } catch (error) {
    ports.problem(`${options.file === '-' ? 'stdin' : options.file}: ${messageOf(error)}`);
    return undefined;
  }
  const { name = input.name ?? defaultName, namespace = input.namespace } = options;
  const conversion = conversionOf(input.spec, name);
  if (conversion.kind === 'refused') {
    for (const line of conversion.message.split('\n')) ports.problem(`hcsshim refuses the annotations: ${line}`);
    return undefined;
  }
  for (const remark of conversion.remarks) ports.problem(remarkLine(remark));
  const metadata = { name, ...(namespace !== undefined && { namespace }) };
  ports.out(stringify({ apiVersion, kind: 'LinuxUtilityVM', metadata, spec: conversion.spec }, { lineWidth: 0 }));
  return conversion;
}

export function conversionOf(spec: OciSpec, name = defaultName): Conversion {
  const reading = readAnnotations(spec);
  if (reading.kind === 'refused') return reading;
  const { annotations, given, ignored } = reading;
  const message = refusalOf(given);
  if (message !== undefined) return { kind: 'refused', message };
  const made = manifestSpec(given, annotations, `${name}-policy`);
  const remarks = [
    ...ignored.map(remarkOnIgnored),
    ...made.remarks,
    ...Object.keys(spec.annotations ?? {}).flatMap((key) => remarkOnKey(key) ?? []),
  ];
  return { kind: 'spec', given, spec: made.spec, remarks };
}
