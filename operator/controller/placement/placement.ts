// Chooses the host of a VM (design §5, §10): a pure function of the VM's needs and of the hosts. The same list of
// filters judges every host, including the one that `spec.nodeName` names. A VM that fits nowhere gets counts by reason
// and three example hosts. VMs with equal needs (`needsKey`) get equal answers, so one judgement serves all of them.
import type { LinuxUtilityVMSpec, Toleration } from '../../../crds/linux-utility-vm.ts';
import type { Host, Node } from '../../kubernetes/objects.ts';
import { allocatableMemoryInMB } from '../knowledge/host-capacity.ts';
import { showTaint, untolerated } from '../knowledge/taints.ts';
import type { Promised } from '../knowledge/virtual-machines.ts';
import { type CountedConstraint, type Preference, type SpreadHost, spreadRefusals } from './spread.ts';

/** Everything that placement requires of a host for a VM. */
export interface PlacementNeeds {
  /** The only host that is considered. */
  readonly nodeName: string | undefined;
  /** True when the VM is already on that host, at rest; false when the manifest names it. */
  readonly startsThere: boolean;
  /** Ordered by label. */
  readonly nodeSelector: readonly (readonly [label: string, value: string])[];
  readonly tolerations: readonly Toleration[];
  readonly memoryInMB: number;
  readonly kernelDirect: boolean;
  readonly snp: boolean;
  /** Options that need a Windows build, with that build. */
  readonly builds: readonly { readonly option: string; readonly build: number }[];
  /** Hosts that recently lacked the resources for this VM, or that it has to leave. Ordered. */
  readonly exceptHosts: readonly string[];
  /** Constraints of the VM's set that a host must meet. */
  readonly spread: readonly CountedConstraint[];
}

export interface Candidate {
  readonly host: Host;
  readonly node: Node | undefined;
  readonly connected: boolean;
  readonly promised: Promised;
  /** A NoExecute taint of the Node that these tolerations tolerated for a limited time, which is over. */
  readonly outlasted?: (tolerations: readonly Toleration[]) => string | undefined;
}

export type Placement =
  | { readonly placed: true; readonly nodeName: string }
  | {
      readonly placed: false;
      /** `NoRoom`: the only host that is considered has no room now. */
      readonly reason: 'NoHostFits' | 'HostNotReady' | 'NoRoom';
      /** Ordered. Counts and examples in the message may change while the kinds stay the same. */
      readonly kinds: readonly RefusalKind[];
      readonly message: string;
    };

export type RefusalKind = (typeof filters)[number]['kind'] | 'Spread' | 'NotReported' | 'TooLarge';

/** The Windows builds that options need (docs/reference/hcs-documents.md §2–§4). */
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

export function needsOf(
  spec: LinuxUtilityVMSpec,
  exceptHosts: readonly string[] = [],
  spread: readonly CountedConstraint[] = [],
): PlacementNeeds {
  return {
    nodeName: spec.nodeName,
    startsThere: false,
    nodeSelector: Object.entries(spec.nodeSelector ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    tolerations: spec.tolerations ?? [],
    memoryInMB: spec.memory.sizeInMB,
    kernelDirect: spec.boot?.kernelDirect === true,
    snp: spec.confidential?.isolation === 'SNP',
    builds: buildNeeds.filter(({ wanted }) => wanted(spec)).map(({ option, build }) => ({ option, build })),
    exceptHosts: [...exceptHosts].sort(),
    spread,
  };
}

/** Equal for equal needs. */
export function needsKey(needs: PlacementNeeds): string {
  return JSON.stringify(needs);
}

interface Filter<Kind extends string> {
  readonly kind: Kind;
  /**
   * Also applies when a host takes a VM back: without this filter a tenant's VM could run on a host that the tenant may
   * not use.
   */
  readonly protectsTenants?: true;
  /** Why the host does not pass; undefined when it does. */
  readonly judge: (candidate: Candidate, needs: PlacementNeeds) => string | undefined;
}

const filterOf = <Kind extends string>(filter: Filter<Kind>): Filter<Kind> => filter;

/** The messages follow this order: the first filter that fails is reported. */
const filters = [
  filterOf({
    kind: 'NotConnected',
    judge: ({ connected }) => (connected ? undefined : 'no connected agent'),
  }),
  filterOf({
    kind: 'NoNode',
    judge: ({ node }) => (node === undefined ? 'no Node object' : undefined),
  }),
  filterOf({
    kind: 'Unschedulable',
    judge: ({ host }) => (host.spec.unschedulable === true ? 'host unschedulable' : undefined),
  }),
  filterOf({
    kind: 'Cordoned',
    judge: ({ node }) => (node?.spec.unschedulable === true ? 'node cordoned' : undefined),
  }),
  filterOf({
    kind: 'Taint',
    protectsTenants: true,
    judge: ({ node }, { tolerations }) => {
      const taint = untolerated(node?.spec.taints ?? [], tolerations);
      return taint === undefined ? undefined : `untolerated taint ${showTaint(taint)}`;
    },
  }),
  filterOf({
    kind: 'TolerationExpired',
    protectsTenants: true,
    judge: ({ outlasted }, { tolerations }) => outlasted?.(tolerations),
  }),
  filterOf({
    kind: 'Lacking',
    judge: ({ host }, { exceptHosts }) =>
      exceptHosts.includes(host.metadata.name) ? 'lacked the resources a moment ago' : undefined,
  }),
  filterOf({
    kind: 'NodeSelector',
    protectsTenants: true,
    judge: (candidate, needs) => (isSelected(candidate, needs) ? undefined : 'nodeSelector not matched'),
  }),
  filterOf({ kind: 'Build', judge: lacksBuild }),
  filterOf({
    kind: 'Snp',
    protectsTenants: true,
    judge: (candidate, { snp }) => (snp && !offersSnp(candidate) ? 'no SNP isolation' : undefined),
  }),
  filterOf({
    kind: 'Count',
    judge: ({ host, promised }) =>
      host.spec.maxVirtualMachines !== undefined && promised.virtualMachines >= host.spec.maxVirtualMachines
        ? 'too many virtual machines'
        : undefined,
  }),
  filterOf({
    kind: 'Memory',
    judge: ({ host, node, promised }, { memoryInMB }) =>
      promised.memoryInMB + memoryInMB > allocatableMemoryInMB(host, node) ? 'insufficient memory' : undefined,
  }),
] as const;

/** Reasons that the end of another VM can remove. */
const room: ReadonlySet<RefusalKind> = new Set(['Count', 'Memory']);
const exampleHosts = 3;
const snpLabel = 'lcow.dev/isolation-snp';

const indifferent: Preference = () => [];

/** Of the hosts that fit, the preferred one, then the one with the most room. */
export function place(
  needs: PlacementNeeds,
  candidates: readonly Candidate[],
  preference: Preference = indifferent,
): Placement {
  const judged: Judged[] = [];
  let best: Fitting | undefined;
  const spreadRefusal = spreadRefusals(needs.spread, eligibleHosts(needs, candidates));
  for (const candidate of candidates) {
    const nodeName = candidate.host.metadata.name;
    if (needs.nodeName !== undefined && needs.nodeName !== nodeName) continue;
    const host = spreadHostOf(candidate);
    const refusal = refusalOf(candidate, needs) ?? crowdedRefusal(spreadRefusal(host));
    judged.push({ candidate, nodeName, refusal });
    if (refusal !== undefined) continue;
    const fitting = { nodeName, preference: preference(host), share: shareOf(candidate) };
    if (best === undefined || isBetter(fitting, best)) best = fitting;
  }
  if (best !== undefined) return { placed: true, nodeName: best.nodeName };
  return needs.nodeName === undefined ? fitsNowhere(needs, judged) : fitsNotThere(needs.nodeName, needs, judged[0]);
}

function spreadHostOf({ host, node }: Candidate): SpreadHost {
  return { nodeName: host.metadata.name, labels: node?.metadata.labels };
}

/** Only these have a say in how few VMs a domain can have. A host without a Node gets no VM, perhaps never again. */
function eligibleHosts(needs: PlacementNeeds, candidates: readonly Candidate[]): readonly SpreadHost[] {
  if (needs.spread.length === 0) return [];
  return candidates.filter((each) => each.node !== undefined && isSelected(each, needs)).map(spreadHostOf);
}

function crowdedRefusal(text: string | undefined): Refusal | undefined {
  return text === undefined ? undefined : { kind: 'Spread', text };
}

interface Fitting {
  readonly nodeName: string;
  readonly preference: readonly number[];
  readonly share: number;
}

function isBetter(one: Fitting, other: Fitting): boolean {
  const difference = one.preference.findIndex((value, index) => value !== other.preference[index]);
  if (difference >= 0) return (one.preference[difference] ?? 0) < (other.preference[difference] ?? 0);
  return one.share === other.share ? one.nodeName < other.nodeName : one.share < other.share;
}

/** Why a host may not keep a VM that it claims to have. Room does not matter, because the VM may already be there. */
export function refusalToTakeBack(needs: PlacementNeeds, candidate: Candidate): string | undefined {
  const { nodeName } = needs;
  if (nodeName !== undefined && candidate.host.metadata.name !== nodeName) return `spec.nodeName is ${nodeName}`;
  return refusalOf(candidate, needs, (filter) => filter.protectsTenants === true)?.text;
}

interface Refusal {
  readonly kind: RefusalKind;
  readonly text: string;
}

function refusalOf(
  candidate: Candidate,
  needs: PlacementNeeds,
  applies: (filter: Filter<RefusalKind>) => boolean = () => true,
): Refusal | undefined {
  for (const filter of filters) {
    const text = applies(filter) ? filter.judge(candidate, needs) : undefined;
    if (text !== undefined) return { kind: filter.kind, text };
  }
  return undefined;
}

function shareOf({ host, node, promised }: Candidate): number {
  return promised.memoryInMB / Math.max(1, allocatableMemoryInMB(host, node));
}

function isSelected({ node }: Candidate, { nodeSelector }: PlacementNeeds): boolean {
  return nodeSelector.every(([label, value]) => node?.metadata.labels?.[label] === value);
}

function lacksBuild({ host }: Candidate, { builds, kernelDirect }: PlacementNeeds): string | undefined {
  const { osBuild = 0, architecture } = host.status;
  const lacking = builds.find(({ build }) => osBuild < build);
  if (lacking !== undefined) return `Windows build below ${lacking.build} (${lacking.option})`;
  return kernelDirect && architecture === 'arm64' ? 'no kernel-direct boot on arm64' : undefined;
}

/** Declared by the agent or, for hosts that cannot tell, by a label of the Node. */
function offersSnp({ host, node }: Candidate): boolean {
  const declared = (host.status.isolation ?? []).includes('SNP') || node?.metadata.labels?.[snpLabel] === 'true';
  return declared && host.status.architecture === 'amd64';
}

interface Judged {
  readonly candidate: Candidate;
  readonly nodeName: string;
  readonly refusal: Refusal | undefined;
}

function fitsNotThere(nodeName: string, needs: PlacementNeeds, judged: Judged | undefined): Placement {
  const named = needs.startsThere ? `it is to start on ${nodeName}` : `spec.nodeName is ${nodeName}`;
  const refusal = judged?.refusal;
  if (judged === undefined || refusal === undefined) {
    const message = `${named}, of which no agent has reported yet`;
    return { placed: false, reason: 'HostNotReady', kinds: ['NotReported'], message };
  }
  const { kind } = refusal;
  if (kind === 'NotConnected') {
    return { placed: false, reason: 'HostNotReady', kinds: [kind], message: `${named}, whose agent is not connected` };
  }
  const impossible = impossibleText(needs, [judged]);
  const text = kind === 'Memory' && impossible !== undefined ? impossible : refusal.text;
  const reason = room.has(kind) && impossible === undefined ? 'NoRoom' : 'NoHostFits';
  return { placed: false, reason, kinds: kindsOf([judged], impossible), message: `${named}: ${text}` };
}

function fitsNowhere(needs: PlacementNeeds, judged: readonly Judged[]): Placement {
  const impossible = impossibleText(needs, judged);
  const message = [impossible, explain(judged)].filter((each) => each !== undefined).join('; ');
  return { placed: false, reason: 'NoHostFits', kinds: kindsOf(judged, impossible), message };
}

function kindsOf(judged: readonly Judged[], impossible: string | undefined): readonly RefusalKind[] {
  const kinds = new Set(judged.flatMap(({ refusal }) => (refusal === undefined ? [] : [refusal.kind])));
  if (judged.length === 0) return ['NotReported'];
  return [...kinds, ...(impossible === undefined ? [] : (['TooLarge'] as const))].sort();
}

/** Added when waiting is in vain: no host is large enough, even without any VM. */
function impossibleText({ memoryInMB }: PlacementNeeds, judged: readonly Judged[]): string | undefined {
  const largest = Math.max(...judged.map(({ candidate: { host, node } }) => allocatableMemoryInMB(host, node)));
  if (judged.length === 0 || memoryInMB <= largest) return undefined;
  const offered = Math.max(0, Math.floor(largest));
  return `no host could ever hold it: it needs ${memoryInMB} MB, and at most ${offered} MB can be promised on one host`;
}

function explain(judged: readonly Judged[]): string {
  if (judged.length === 0) return 'no host: no agent has reported yet';
  const counts = new Map<string, number>();
  for (const { refusal } of judged) {
    if (refusal !== undefined) counts.set(refusal.text, (counts.get(refusal.text) ?? 0) + 1);
  }
  const reasons = [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([refusal, count]) => `${count} ${refusal}`);
  const examples = judged
    .map(({ nodeName, refusal }) => `${nodeName} (${refusal?.text})`)
    .sort()
    .slice(0, exampleHosts);
  return `0/${judged.length} hosts fit: ${reasons.join(', ')}; for example ${examples.join(', ')}`;
}
