// Where a VM goes (design §5): a pure function of hosts, nodes and the VM. Every host is judged by the same list of
// filters; a VM that fits nowhere gets counts by reason and three example hosts.
import type { LinuxUtilityVMSpec } from '../../crds/linux-utility-vm.ts';
import type { Host, Node } from '../kubernetes/objects.ts';
import { showTaint, untolerated } from './taints.ts';
import type { Promised } from './virtual-machines.ts';

export interface Candidate {
  readonly host: Host;
  readonly node: Node | undefined;
  readonly connected: boolean;
  readonly promised: Promised;
  /** Why this very VM shall not go there, if so. */
  readonly refusal?: string | undefined;
}

export type Placement =
  | { readonly placed: true; readonly nodeName: string }
  | { readonly placed: false; readonly reason: 'NoHostFits' | 'HostNotReady'; readonly message: string };

/** What of the options needs which Windows build (docs/reference/hcs-documents.md §2–§4). */
const buildNeeds: readonly {
  readonly option: string;
  readonly build: number;
  readonly wanted: (spec: LinuxUtilityVMSpec) => boolean;
}[] = [
  { option: 'boot.kernelDirect', build: 18_286, wanted: (spec) => spec.boot?.kernelDirect === true },
  {
    option: 'memory.enableColdDiscardHint',
    build: 18_967,
    wanted: (spec) => spec.memory.enableColdDiscardHint === true,
  },
  { option: 'processor.cpuGroupID', build: 19_043, wanted: (spec) => spec.processor?.cpuGroupID !== undefined },
  {
    option: 'numa',
    build: 26_100,
    wanted: (spec) => spec.numa?.nodes !== undefined || spec.numa?.maxProcessorsPerNode !== undefined,
  },
];

/** Undefined when the host passes, else why not. The order is that of the messages: the first that fails is told. */
type Filter = (candidate: Candidate, spec: LinuxUtilityVMSpec) => string | undefined;

const filters: readonly Filter[] = [
  ({ connected }) => (connected ? undefined : 'no connected agent'),
  ({ node }) => (node === undefined ? 'no Node object' : undefined),
  ({ host }) => (host.spec.unschedulable === true ? 'host unschedulable' : undefined),
  ({ node }) => (node?.spec.unschedulable === true ? 'node cordoned' : undefined),
  ({ node }, spec) => {
    const taint = untolerated(node?.spec.taints ?? [], spec.tolerations ?? []);
    return taint === undefined ? undefined : `untolerated taint ${showTaint(taint)}`;
  },
  ({ refusal }) => refusal,
  ({ node }, spec) =>
    matches(node?.metadata.labels ?? {}, spec.nodeSelector ?? {}) ? undefined : 'nodeSelector not matched',
  lacksBuild,
  (candidate, spec) =>
    spec.confidential?.isolation === 'SNP' && !offersSnp(candidate) ? 'no SNP isolation' : undefined,
  ({ host, promised }) =>
    host.spec.maxVirtualMachines !== undefined && promised.virtualMachines >= host.spec.maxVirtualMachines
      ? 'too many virtual machines'
      : undefined,
  ({ host, promised }, spec) =>
    promised.memoryInMB + spec.memory.sizeInMB > allocatableMemoryInMB(host) ? 'insufficient memory' : undefined,
];

const exampleHosts = 3;
const snpLabel = 'lcow.dev/isolation-snp';

export function place(spec: LinuxUtilityVMSpec, candidates: readonly Candidate[]): Placement {
  if (spec.nodeName !== undefined) return placePinned(spec.nodeName, candidates);
  const judged = candidates.map((candidate) => ({ candidate, refusal: refusalOf(candidate, spec) }));
  const best = judged
    .filter(({ refusal }) => refusal === undefined)
    .map(({ candidate }) => ({ nodeName: candidate.host.metadata.name, share: shareOf(candidate) }))
    .sort((a, b) => a.share - b.share || (a.nodeName < b.nodeName ? -1 : 1))[0];
  if (best !== undefined) return { placed: true, nodeName: best.nodeName };
  return { placed: false, reason: 'NoHostFits', message: explain(judged) };
}

/** As for a Pod with a nodeName, the manifest's author decides; only an agent must be there. */
function placePinned(nodeName: string, candidates: readonly Candidate[]): Placement {
  const candidate = candidates.find(({ host }) => host.metadata.name === nodeName);
  if (candidate?.connected === true) return { placed: true, nodeName };
  const message =
    candidate === undefined
      ? `spec.nodeName is ${nodeName}, of which no agent has reported yet`
      : `spec.nodeName is ${nodeName}, whose agent is not connected`;
  return { placed: false, reason: 'HostNotReady', message };
}

function refusalOf(candidate: Candidate, spec: LinuxUtilityVMSpec): string | undefined {
  for (const filter of filters) {
    const refusal = filter(candidate, spec);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

function allocatableMemoryInMB(host: Host): number {
  const memory = host.status.memoryInMB ?? 0;
  return (memory * host.spec.memoryOvercommitPercent) / 100 - (host.spec.reservedMemoryInMB ?? 0);
}

function shareOf({ host, promised }: Candidate): number {
  return promised.memoryInMB / Math.max(1, allocatableMemoryInMB(host));
}

function lacksBuild({ host }: Candidate, spec: LinuxUtilityVMSpec): string | undefined {
  const { osBuild = 0, architecture } = host.status;
  const lacking = buildNeeds.find(({ build, wanted }) => osBuild < build && wanted(spec));
  if (lacking !== undefined) return `Windows build below ${lacking.build} (${lacking.option})`;
  return spec.boot?.kernelDirect === true && architecture === 'arm64' ? 'no kernel-direct boot on arm64' : undefined;
}

/** Declared by the agent or, for hosts that cannot tell, by a label of the Node. */
function offersSnp({ host, node }: Candidate): boolean {
  const declared = (host.status.isolation ?? []).includes('SNP') || node?.metadata.labels?.[snpLabel] === 'true';
  return declared && host.status.architecture === 'amd64';
}

function matches(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

interface Judged {
  readonly candidate: Candidate;
  readonly refusal: string | undefined;
}

function explain(judged: readonly Judged[]): string {
  if (judged.length === 0) return 'no host: no agent has reported yet';
  const counts = new Map<string, number>();
  for (const { refusal } of judged) {
    if (refusal !== undefined) counts.set(refusal, (counts.get(refusal) ?? 0) + 1);
  }
  const reasons = [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([refusal, count]) => `${count} ${refusal}`);
  const examples = judged
    .map(({ candidate, refusal }) => `${candidate.host.metadata.name} (${refusal})`)
    .sort()
    .slice(0, exampleHosts);
  return `0/${judged.length} hosts fit: ${reasons.join(', ')}; for example ${examples.join(', ')}`;
}
