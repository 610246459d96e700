// What runs of the simulation have to come to, taken together: every transition of a VM on its host, every reason, every
// message, and for every call of an agent or an operator a death before it took effect and a death after it.
import { z } from 'zod';
import { states } from '../../agent/vm/states.ts';
import { isObject } from '../../crds/structural.ts';
import { agentMessage, operatorMessage } from '../../protocol/messages.ts';
import { reasons } from '../../protocol/reasons.ts';
import type { Write } from './api-server/store.ts';
import { crashPoint } from './process.ts';
import type { World } from './world.ts';

const transition = (from: string, event: string) => `transition ${from}: ${event}`;
const reason = (code: string) => `reason ${code}`;
export const message = (type: string) => `message ${type}`;

const transitionLine = z.tuple([z.object({ from: z.string(), event: z.string() }), z.literal('transition')]);

/** Receives the parameters of a log line. */
export function reachTransition(world: World, parameters: readonly unknown[]): void {
  const { data } = transitionLine.safeParse(parameters);
  if (data !== undefined) world.reach(transition(data[0].from, data[0].event));
}

/** The reasons of Events, of conditions and of processes. */
export function reachReasons(world: World, { after, kind }: Write): void {
  if (after === undefined) return;
  const { status } = after;
  const conditions = isObject(status) && Array.isArray(status['conditions']) ? status['conditions'] : [];
  for (const each of kind === 'Event' ? [after] : conditions) {
    if (isObject(each) && typeof each['reason'] === 'string') world.reach(reason(each['reason']));
  }
  const process = isObject(status) ? status['process'] : undefined;
  if (isObject(process) && typeof process['reason'] === 'string') world.reach(reason(process['reason']));
}

/** What has to be reached, whatever the runs did. */
const wanted: readonly string[] = [
  ...Object.entries(states).flatMap(([from, { events }]) =>
    Object.keys(events).map((event) => transition(from, event)),
  ),
  ...Object.keys(reasons).map(reason),
  ...[...agentMessage.options, ...operatorMessage.options].map(({ shape }) => message(shape.type.value)),
];

/** What no run has to come to, by the reason. */
const excused: Readonly<Record<string, readonly string[]>> = {
  'nobody follows a log or starts a process': [
    ...['console', 'document', 'exec', 'logFollow', 'portForward', 'stacks', 'usage', 'streamClose', 'streamClosed'],
    ...['streamCredit', 'streamData', 'streamEnd', 'streamOpened', 'streamReceipt'],
  ].map(message),
  'the hosts have no Host Networking Service': [message('networks')],
  'no quota refuses the VMs of a set': [reason('CreateRefused')],
  'all policies allow processes': [reason('ProcessNotAllowed')],
  'the programs have no known defect': [reason('InternalError')],
  'all programs have the same version': [reason('ProtocolError'), reason('UnsupportedByAgent')],
  'the API server checks what it stores': [reason('InvalidSpec')],
  'a forced deletion gives up what is judged': [reason('ForceDeleted')],
  'nobody uninstalls the operator': [reason('OperatorUninstalled')],
};

/** What the runs did not come to, of everything that they have to. */
export function unreached(reached: ReadonlySet<string>): readonly string[] {
  const calls = [...reached].filter((each) => each.startsWith('call ')).map((each) => each.slice('call '.length));
  const deaths = calls.flatMap((operation) => [crashPoint('before', operation), crashPoint('after', operation)]);
  const isExcused = new Set(Object.values(excused).flat());
  return [...wanted, ...deaths].filter((each) => !reached.has(each) && !isExcused.has(each)).sort();
}
