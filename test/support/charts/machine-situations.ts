// Situations of a LinuxUtilityVM. The operator's own code writes the statuses.
import { nextStatus, type StatusInputs } from '../../../operator/controller/status/status.ts';
import type { VirtualMachine } from '../../../operator/kubernetes/objects.ts';
import type { ObservedVirtualMachine } from '../../../protocol/messages.ts';
import { makeMachine, someUid } from '../operator/objects.ts';
import { observedMachine } from '../operator/scripted-agent.ts';
import type { KStatus } from './kstatus.ts';
import type { ArgoHealth, Situation } from './situations.ts';

const now = Date.parse('2026-01-01T00:00:00Z');

export const ready = (status: 'True' | 'False', reason: string) =>
  ({ type: 'Ready', status, reason, message: reason }) as const;
const stalled = (reason: string) => ({ type: 'Stalled', status: 'True', reason, message: reason }) as const;

interface Circumstances {
  readonly metadata?: Partial<VirtualMachine['metadata']>;
  readonly observed?: Partial<ObservedVirtualMachine>;
  readonly inputs?: Partial<StatusInputs>;
}

export function machineIn({ metadata = {}, observed, inputs = {} }: Circumstances) {
  const object = makeMachine({ metadata });
  const report =
    observed === undefined
      ? undefined
      : { observed: observedMachine(someUid, { generation: 1, ...observed }), failure: undefined };
  const status = nextStatus({
    object,
    nodeName: 'node-a',
    scheduled: { reason: 'Scheduled', message: 'placed on node-a' },
    report,
    disconnected: false,
    blocked: undefined,
    terminating: undefined,
    now,
    ...inputs,
  });
  return { metadata: object.metadata, status };
}

const verdict = (reason: 'Terminating' | 'HostDrained' | 'InvalidSpec' | 'ReferenceUnreadable' | 'NoRoom') =>
  ({ reason, message: reason }) as const;
const noHost = { nodeName: undefined, scheduled: { reason: 'NoHostFits', message: '0/3 hosts fit' } } as const;

const table: readonly [string, Circumstances, KStatus, ArgoHealth][] = [
  ['fits nowhere', { inputs: noHost }, 'InProgress', 'Progressing'],
  ['placed, and its agent has not reported', {}, 'InProgress', 'Progressing'],
  ['boots', { observed: { phase: 'Starting', conditions: [ready('False', 'Starting')] } }, 'InProgress', 'Progressing'],
  ['runs', { observed: {} }, 'Current', 'Healthy'],
  [
    'runs, and a restart is required',
    {
      observed: { conditions: [ready('True', 'Running'), { ...stalled('RestartRequired'), type: 'RestartRequired' }] },
    },
    'Current',
    'Healthy',
  ],
  ['halted as asked', { observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] } }, 'Current', 'Healthy'],
  [
    'halted, and on no host',
    { inputs: { nodeName: undefined, scheduled: { reason: 'Halted', message: 'no host' }, rest: 'Halted' } },
    'Current',
    'Healthy',
  ],
  [
    'failed once, and on no host',
    { inputs: { nodeName: undefined, scheduled: { reason: 'Failed', message: 'no host' }, rest: 'Failed' } },
    'Failed',
    'Degraded',
  ],
  [
    'is to start, and waits for room',
    {
      observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] },
      inputs: { scheduled: { status: 'False', ...verdict('NoRoom') }, blocked: verdict('NoRoom') },
    },
    'InProgress',
    'Progressing',
  ],
  [
    'ended well, once',
    { observed: { phase: 'Stopped', conditions: [ready('True', 'Completed')] } },
    'Current',
    'Healthy',
  ],
  [
    'ended badly, once',
    { observed: { phase: 'Failed', conditions: [ready('False', 'Failed'), stalled('Failed')] } },
    'Failed',
    'Degraded',
  ],
  [
    'has no kernel',
    { observed: { phase: 'Failed', conditions: [ready('False', 'InvalidOptions'), stalled('InvalidOptions')] } },
    'Failed',
    'Degraded',
  ],
  [
    'failed to start for the first time',
    {
      observed: { phase: 'Failed', conditions: [ready('False', 'BootTimeout')], startFailure: { count: 1 } },
    },
    'InProgress',
    'Progressing',
  ],
  [
    'crash loop',
    {
      observed: { phase: 'Failed', conditions: [ready('False', 'BackOff')], startFailure: { count: 5 } },
    },
    'InProgress',
    'Degraded',
  ],
  [
    'changed, and the agent does not know yet',
    { metadata: { generation: 2 }, observed: {} },
    'InProgress',
    'Progressing',
  ],
  ['its agent is away', { observed: {}, inputs: { disconnected: true } }, 'InProgress', 'Degraded'],
  [
    'stopped by a drain',
    {
      observed: { phase: 'Stopped', conditions: [ready('True', 'Halted')] },
      inputs: { blocked: verdict('HostDrained') },
    },
    'InProgress',
    'Suspended',
  ],
  [
    'stored before the schema was tightened',
    { inputs: { ...noHost, blocked: verdict('InvalidSpec') } },
    'Failed',
    'Degraded',
  ],
  [
    'policy not there yet',
    { inputs: { ...noHost, blocked: verdict('ReferenceUnreadable') } },
    'InProgress',
    'Progressing',
  ],
  ['paused', { metadata: { annotations: { 'lcow.dev/paused': 'true' } }, observed: {} }, 'Current', 'Suspended'],
  [
    'being deleted',
    {
      metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
      observed: {},
      inputs: { terminating: verdict('Terminating') },
    },
    'Terminating',
    'Progressing',
  ],
  [
    'was torn down, and is held by somebody else',
    {
      metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' },
      inputs: { nodeName: undefined, terminating: verdict('Terminating'), tornDown: true },
    },
    'Terminating',
    'Progressing',
  ],
];

export const machineSituations: readonly Situation[] = [
  {
    name: 'has not been seen by an operator',
    // As the API server returns it: the schema has this status as its default.
    object: { metadata: { name: 'vm', generation: 1 }, status: { observedGeneration: 0 } },
    kstatus: 'InProgress',
    argo: 'Progressing',
  },
  ...table.map(([name, circumstances, kstatus, argo]) => ({ name, object: machineIn(circumstances), kstatus, argo })),
];
