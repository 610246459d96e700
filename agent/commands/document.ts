// `lcow-agent document --host host.yaml -f manifest.yaml`: the documents that the VMs of a manifest get on such a host.
// One JSON line for each VM, `{"namespace","name","document"}` or `{"namespace","name","error"}`. Exit code 1 if
// anything failed.
import { z } from 'zod';
import { linuxUtilityVM } from '../../crds/linux-utility-vm.ts';
import { fromSpec } from '../../protocol/options.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { buildDocument } from '../document/build.ts';
import type { BuildResult } from '../document/outcome.ts';
import { fillOptions } from '../preparation/requested-options.ts';
import { type ManifestObject, type ManifestValue, parseManifests } from './manifests.ts';
import { type PreviewHost, parsePreviewHost } from './preview-host.ts';

export interface DocumentCommandOptions {
  /** Path of the host's description. */
  readonly host: string;
  /** Manifests; `-` is standard input. */
  readonly filename: readonly string[];
  /** Indented over several lines, for people. */
  readonly pretty?: boolean | undefined;
}

/** The command's outside world. */
export interface CommandIO {
  /** `-` reads standard input. */
  readonly read: (path: string) => Promise<string>;
  readonly out: (line: string) => void;
  readonly problem: (line: string) => void;
}

/** Returns the exit code. */
export async function documentCommand(options: DocumentCommandOptions, io: CommandIO): Promise<number> {
  const host = await readHost(options.host, io);
  if (host === undefined) return 1;
  const { objects, failed } = await readManifests(options.filename, io);
  const configMaps = objects.filter(({ value }) => value.kind === 'ConfigMap');
  const previews = objects
    .filter(({ value }) => value.kind === 'LinuxUtilityVM')
    .map((object) => preview(object, host, configMaps));
  for (const line of previews) io.out(options.pretty === true ? prettyLine(line) : plainLine(line));
  return failed || previews.some(({ result }) => result.kind === 'error') ? 1 : 0;
}

async function readHost(path: string, io: CommandIO): Promise<PreviewHost | undefined> {
  try {
    return parsePreviewHost(await io.read(path));
  } catch (error) {
    io.problem(`${path}: ${problemOf(error)}`);
    return undefined;
  }
}

/** A file or document that cannot be read is reported, and the command goes on with the others. */
async function readManifests(
  paths: readonly string[],
  io: CommandIO,
): Promise<{ objects: ManifestObject[]; failed: boolean }> {
  const objects: ManifestObject[] = [];
  const problems: string[] = [];
  for (const path of paths) {
    try {
      const manifests = parseManifests(path === '-' ? 'stdin' : path, await io.read(path));
      objects.push(...manifests.objects);
      problems.push(...manifests.problems);
    } catch (error) {
      problems.push(`${path}: ${problemOf(error)}`);
    }
  }
  for (const problem of problems) io.problem(problem);
  return { objects, failed: problems.length > 0 };
}

type PreviewResult = BuildResult | { readonly kind: 'error'; readonly message: string };

interface Preview {
  readonly namespace: string;
  readonly name: string;
  readonly result: PreviewResult;
}

const defaultNamespace = 'default';

function preview({ value, place }: ManifestObject, host: PreviewHost, configMaps: readonly ManifestObject[]): Preview {
  const namespace = value.metadata?.namespace ?? defaultNamespace;
  const name = value.metadata?.name ?? '';
  try {
    return { namespace, name, result: build(value, host, configMaps) };
  } catch (error) {
    return { namespace, name, result: { kind: 'error', message: `${place}: ${problemOf(error)}` } };
  }
}

function build(value: ManifestValue, host: PreviewHost, configMaps: readonly ManifestObject[]): BuildResult {
  const given = withoutNulls(value['spec']);
  const { spec } = shown.parse({ ...value, spec: given });
  refuseUnknownFields(given, spec, 'spec');
  const { namespace = defaultNamespace, uid = value.metadata?.name || 'unnamed' } = value.metadata ?? {};
  const reference = spec.confidential?.securityPolicyFrom?.configMapKeyRef;
  const securityPolicy = reference && policyFrom(configMaps, namespace, reference.name, reference.key);
  const requested = fromSpec(spec, { securityPolicy });
  const { owner, defaults, facts, files } = host;
  const machine = { id: uid, owner, bundleDirectory: host.bundleDirectory(uid), requested };
  let devices = 0;
  const randomGuid = () => `vmbus-${devices++}`;
  return buildDocument({ ...fillOptions(machine, defaults, files), host: facts, files, randomGuid }).result;
}

/** Metadata and status are not checked: manifests that kubectl prints contain nulls there. */
const shown = linuxUtilityVM.pick({ apiVersion: true, kind: true, spec: true });

/** Field names consist of letters. GUIDs, the keys of the service table, do not. */
const fieldName = /^[A-Za-z]+$/;

/** A section without content is null in YAML. The API server treats such a field as absent, and so does the preview. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isContainer(value)) return value;
  const present = Object.entries(value).filter(([name, member]) => member !== null || !fieldName.test(name));
  return Object.fromEntries(present.map(([name, member]) => [name, withoutNulls(member)]));
}

/**
 * Parsing drops fields that the schema does not know. The document would silently lack what they ask for, so they are
 * refused.
 */
function refuseUnknownFields(given: unknown, known: unknown, path: string): void {
  if (!isContainer(given) || !isContainer(known)) return;
  const parsed = new Map<string, unknown>(Object.entries(known));
  for (const [field, value] of Object.entries(given)) {
    const place = Array.isArray(given) ? `${path}[${field}]` : `${path}.${field}`;
    if (!parsed.has(field)) throw new Error(`unknown field ${place}`);
    refuseUnknownFields(value, parsed.get(field), place);
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });

/** A policy reference is resolved among the ConfigMaps of the same manifests. */
function policyFrom(
  configMaps: readonly ManifestObject[],
  namespace: string,
  name: string,
  key: string,
): string | undefined {
  const found = configMaps.find(
    ({ value }) => value.metadata?.name === name && (value.metadata.namespace ?? defaultNamespace) === namespace,
  );
  if (found === undefined) return undefined;
  const { data } = configMap.parse(found.value);
  // Every object inherits `constructor`.
  return Object.hasOwn(data, key) ? data[key] : undefined;
}

/** The document is inserted as text, so that the line contains exactly the text that HCS would get. */
function plainLine({ namespace, name, result }: Preview): string {
  if (result.kind === 'error') return JSON.stringify({ namespace, name, error: result.message });
  return `${JSON.stringify({ namespace, name }).slice(0, -1)},"document":${result.text}}`;
}

function prettyLine({ namespace, name, result }: Preview): string {
  const outcome = result.kind === 'error' ? { error: result.message } : { document: result.document };
  return JSON.stringify({ namespace, name, ...outcome }, undefined, 2);
}

function problemOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    return error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ');
  }
  return messageOf(error);
}
